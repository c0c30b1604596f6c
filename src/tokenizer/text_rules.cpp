#include "tokenizer/text_rules.h"

#include <fmt/format.h>

#include <llm/error.hpp>
#include <memory>
#include <utility>

#include "base/utf8.h"
#include "tokenizer/config_json.h"
#include "tokenizer/hf_json.h"

namespace llm::tokenizer {

namespace {

using nlohmann::json;

std::vector<bool> tokens_with(const hf::Part& rules, const char* what, const Vocabulary& vocabulary) {
  std::vector<bool> flags;
  if (!rules.has("added_tokens")) return flags;
  for (const hf::Part& token : rules.items("added_tokens")) {
    const std::int64_t id = token.number_or("id", -1);
    if (id < 0 || id >= vocabulary.size()) token.fail(fmt::format("id {}", id));
    if (!token.flag_or(what, false)) continue;
    flags.resize(static_cast<std::size_t>(vocabulary.size()));
    flags[static_cast<std::size_t>(id)] = true;
  }
  return flags;
}

}  // namespace

std::string text_rules(const json& tokenizer_json) {
  json tokens = json::array();
  for (const json& token : member_of(tokenizer_json, "added_tokens")) {
    const bool left = flag_or(token, "lstrip", false), right = flag_or(token, "rstrip", false);
    if (left || right) tokens.push_back({{"id", token["id"]}, {"lstrip", left}, {"rstrip", right}});
  }
  return json{{"normalizer", member_of(tokenizer_json, "normalizer")},
              {"pre_tokenizer", member_of(tokenizer_json, "pre_tokenizer")},
              {"added_tokens", std::move(tokens)}}
      .dump();
}

bool apply_text_rules(std::string_view rules, const std::string& source, const Vocabulary& vocabulary, bool byte_level,
                      PiecePipeline::Options& options) {
  const std::string place = fmt::format("{}: {}", source, text_rules_key);
  const json root = json::parse(rules, nullptr, false);
  if (!root.is_object()) throw Error(ErrorCode::model, place + ": expected a JSON object");
  const hf::Part part(root, place);
  const json normalizer_json = member_of(root, "normalizer"), splitter_json = member_of(root, "pre_tokenizer");
  const std::shared_ptr<const hf::Normalizer> normalizer =
      hf::make_normalizer({normalizer_json, place + ".normalizer"});
  hf::PreTokenizer pretokenizer = hf::make_pretokenizer({splitter_json, place + ".pre_tokenizer"}, byte_level);
  options.normalizer = [normalizer](std::string_view text, bool starts) {
    hf::NormalText normal{is_valid_utf8(text) ? std::string(text) : replace_invalid_utf8(text), starts};
    if (normalizer != nullptr) normalizer->apply(normal);
    return std::move(normal.text);
  };
  options.splitter = std::move(pretokenizer.splitter);
  options.only_text_starts = true;
  options.strip_before = tokens_with(part, "lstrip", vocabulary);
  options.strip_after = tokens_with(part, "rstrip", vocabulary);
  return pretokenizer.leaves_bytes;
}

}  // namespace llm::tokenizer
