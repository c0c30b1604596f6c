#include "api/generation_defaults.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

namespace llm::api {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uintmax_t max_bytes = 16 << 20;

bool is_token(const json& id) {
  return id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
         id.get<std::int64_t>() <= std::numeric_limits<TokenId>::max();
}

// Values of an object by key; null and absent are the same.
class Keys {
 public:
  Keys(json object, std::string source) : object_(std::move(object)), source_(std::move(source)) {}

  const json* find(const char* key) const {
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  [[noreturn]] void fail(const char* key, const char* expected) const {
    std::string found = find(key)->dump(-1, ' ', true, json::error_handler_t::replace);
    if (found.size() > 60) found = found.substr(0, 57) + "...";
    throw Error(ErrorCode::model, fmt::format("{}: key {}: {}, expected {}", source_, key, found, expected));
  }
  std::optional<bool> flag(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
  }
  std::optional<int> integer(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    const double number = value->is_number() ? value->get<double>() : -1;
    if (number < 0 || number > std::numeric_limits<int>::max() ||
        number != static_cast<double>(static_cast<int>(number))) {
      fail(key, "a whole number from 0 on");
    }
    return static_cast<int>(number);
  }
  std::optional<float> number(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) fail(key, "a number");
    return value->get<float>();
  }
  // Those of an id or a list that are token ids at all.
  std::vector<TokenId> valid_tokens(const char* key) const {
    const json* value = find(key);
    std::vector<TokenId> ids;
    if (value == nullptr) return ids;
    for (const json& id : value->is_array() ? *value : json::array({*value})) {
      if (is_token(id)) ids.push_back(id.get<TokenId>());
    }
    return ids;
  }
  // A token id, or the first of a list.
  std::optional<TokenId> token(const char* key) const {
    const std::vector<TokenId> ids = tokens(key);
    return ids.empty() ? std::nullopt : std::optional(ids.front());
  }
  std::vector<TokenId> tokens(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return {};
    return value->is_array() ? ids_in(key, *value) : ids_in(key, json::array({*value}));
  }
  std::vector<std::vector<TokenId>> runs(const char* key) const {
    std::vector<std::vector<TokenId>> runs;
    const json* value = find(key);
    if (value == nullptr) return runs;
    if (!value->is_array()) fail(key, "a list of lists of token ids");
    for (const json& run : *value) {
      if (!run.is_array()) fail(key, "a list of lists of token ids");
      runs.push_back(ids_in(key, run));
    }
    return runs;
  }

 private:
  std::vector<TokenId> ids_in(const char* key, const json& list) const {
    std::vector<TokenId> ids;
    for (const json& id : list) {
      if (!is_token(id)) fail(key, "token ids");
      ids.push_back(id.get<TokenId>());
    }
    return ids;
  }
  json object_;
  std::string source_;
};

std::optional<std::string> read_beside(const formats::WeightsFile& file, const char* name) {
  const fs::path path = fs::path(file.path()) / name;
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > max_bytes) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::optional<BeamStop> beam_stop(const Keys& keys) {
  constexpr const char* key = "early_stopping";
  const json* value = keys.find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>() ? BeamStop::full : BeamStop::open;
  if (*value != "never") keys.fail(key, "true, false or \"never\"");
  return BeamStop::never;
}

// Lengths in these files count the decoder's start token.
TokenRules token_rules(const Keys& keys) {
  TokenRules rules;
  rules.first = keys.token("forced_bos_token_id");
  rules.last = keys.token("forced_eos_token_id");
  const std::vector<TokenId> ends = keys.valid_tokens("eos_token_id");
  for (std::vector<TokenId>& run : keys.runs("bad_words_ids")) {
    const bool is_end = run.size() == 1 && std::find(ends.begin(), ends.end(), run[0]) != ends.end();
    if (!is_end) rules.banned.push_back(std::move(run));
  }
  for (const TokenId id : keys.tokens("suppress_tokens")) rules.banned.push_back({id});
  rules.banned_first = keys.tokens("begin_suppress_tokens");
  rules.min_tokens = keys.integer("min_new_tokens").value_or(std::max(keys.integer("min_length").value_or(0) - 1, 0));
  rules.no_repeat_ngram = keys.integer("no_repeat_ngram_size").value_or(0);
  return rules;
}

}  // namespace

GenerationFile generation_file(const formats::WeightsFile& file, bool is_encoder_decoder) {
  GenerationFile result;
  if (file.kind() != formats::SourceKind::hugging_face) return result;
  const std::optional<std::string> own = read_beside(file, "generation_config.json");
  const std::string source = file.path() + (own ? ": generation_config.json" : ": config.json");
  json object = json::parse(own ? *own : std::string(file.config_json()), nullptr, false);
  if (!object.is_object()) throw Error(ErrorCode::model, fmt::format("{}: found no JSON object", source));
  const Keys keys(std::move(object), source);
  if (own) result.end_tokens = keys.valid_tokens("eos_token_id");
  if (!is_encoder_decoder) return result;
  GenerationDefaults& d = result.defaults;
  d.sample = keys.flag("do_sample");
  d.temperature = keys.number("temperature");
  d.top_p = keys.number("top_p");
  d.top_k = keys.integer("top_k");
  d.repeat_penalty = keys.number("repetition_penalty");
  d.beams = keys.integer("num_beams");
  d.length_penalty = keys.number("length_penalty");
  d.stop = beam_stop(keys);
  d.max_tokens = keys.integer("max_new_tokens");
  if (const std::optional<int> length = keys.integer("max_length"); length && !d.max_tokens && *length > 1) {
    d.max_tokens = *length - 1;
  }
  d.decoder_start = keys.token("decoder_start_token_id");
  d.rules = token_rules(keys);
  return result;
}

}  // namespace llm::api
