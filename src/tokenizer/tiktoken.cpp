#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "formats/quote.h"
#include "tokenizer/base64.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/piece_pipeline.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/regex_splitter.h"
#include "tokenizer/special_roles.h"
#include "tokenizer/vocabulary_files.h"

namespace llm::tokenizer {

namespace {

constexpr TokenId kHighestId = 1 << 30;

struct Rank {
  std::string bytes;
  TokenId id = kNoToken;
};

// One line without its newline; nothing if it is not "base64 rank".
std::optional<Rank> read_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  auto bytes = decode_base64(line.substr(0, space));
  Rank rank;
  const std::string_view digits = line.substr(space + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank.id);
  if (!bytes || bytes->empty() || error != std::errc() || end != digits.data() + digits.size() || rank.id < 0 ||
      rank.id > kHighestId) {
    return std::nullopt;
  }
  rank.bytes = std::move(*bytes);
  return rank;
}

// The published files have no pattern: o200k has 199,998 ranks, LLaMA-3 128,000, cl100k 100,256, gpt-2's 50,256.
SplitRule rule_by_size(std::size_t n_ranks) {
  if (n_ranks > 150'000) return SplitRule::o200k;
  return n_ranks > 60'000 ? SplitRule::llama3 : SplitRule::gpt2;
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  return read_line(bytes.substr(0, std::min(bytes.find('\n'), bytes.size()))).has_value();
}

TiktokenOptions read_tiktoken_options(std::string_view json, const std::string& source) {
  TiktokenOptions options;
  try {
    const auto root = nlohmann::json::parse(json);
    options.pattern = root.value("pat_str", "");
    if (const auto tokens = root.find("special_tokens"); tokens != root.end()) {
      for (const auto& [text, id] : tokens->items()) {
        const auto number = id.get<std::int64_t>();
        if (number < 0 || number > kHighestId) {
          throw Error(ErrorCode::model,
                      fmt::format("{}: special token {} has id {}", source, formats::quote(text), number));
        }
        options.special_tokens.emplace_back(text, static_cast<TokenId>(number));
      }
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCode::model, fmt::format("{}: {}", source, error.what()));
  }
  return options;
}

Tokenizer make_tiktoken_tokenizer(std::string_view bytes, const std::string& source, const TiktokenOptions& options) {
  std::vector<Rank> ranks;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line == "\r") continue;
    auto rank = read_line(line);
    if (!rank) {
      throw Error(ErrorCode::model, fmt::format("{}: line {} is {}, expected a token in base 64 and its rank", source,
                                                ranks.size() + 1, formats::quote(line)));
    }
    ranks.push_back(std::move(*rank));
  }
  const std::size_t n_ranks = ranks.size();
  std::sort(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) { return a.id < b.id; });
  // Ids without a token get a name, as in GGUF files; a bound on the gaps keeps a wild id from filling memory.
  TokenId n_tokens = ranks.empty() ? 0 : ranks.back().id + 1;
  for (const auto& [text, id] : options.special_tokens) n_tokens = std::max(n_tokens, id + 1);
  if (static_cast<std::size_t>(n_tokens) > 2 * n_ranks + 65'536) {
    throw Error(ErrorCode::model, fmt::format("{}: highest id {} with {} ranks", source, n_tokens - 1, n_ranks));
  }
  auto impl = std::make_unique<Tokenizer::Impl>();
  Vocabulary& vocabulary = impl->vocabulary;
  vocabulary.reserve(static_cast<std::size_t>(n_tokens), bytes.size() * 2);
  std::vector<std::string_view> special(static_cast<std::size_t>(n_tokens));
  for (const auto& [text, id] : options.special_tokens) {
    special[static_cast<std::size_t>(id)] = text;
  }
  std::size_t next = 0;
  std::string stand_ins;
  for (TokenId id = 0; id < n_tokens; ++id) {
    const std::string_view special_text = special[static_cast<std::size_t>(id)];
    if (!special_text.empty()) {
      vocabulary.add(special_text, TokenKind::control);
    } else if (next < n_ranks && ranks[next].id == id) {
      stand_ins.clear();
      append_stand_ins(ranks[next].bytes, stand_ins);
      vocabulary.add(stand_ins);
    } else {
      vocabulary.add(fmt::format("[EMPTY_{}]", id), TokenKind::unused);
    }
    while (next < n_ranks && ranks[next].id <= id) ++next;
  }
  if (const TokenId duplicate = vocabulary.build_index(); duplicate != kNoToken) {
    throw Error(ErrorCode::model, fmt::format("{}: token {} stands twice, the second time as {}", source,
                                              formats::quote(vocabulary.text(duplicate)), duplicate));
  }
  PiecePipeline::Options pipeline;
  if (options.pattern.empty()) {
    pipeline.splitter = make_splitter(rule_by_size(n_ranks));
  } else if (!add_known_pattern(options.pattern, pipeline.splitter)) {
    pipeline.splitter.add(make_regex_splitter(options.pattern, {}, source));
  }
  Bpe::Options bpe;
  bpe.ignore_merges = true;
  auto model = std::make_unique<Bpe>(vocabulary, std::move(bpe));
  model->add_merges_from_ids();
  pipeline.model = std::move(model);
  assign_roles_by_text(vocabulary, impl->special);
  if (const TokenId end = vocabulary.find("<|endoftext|>"); end != kNoToken) impl->special.eos = end;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    if (kind == TokenKind::control || kind == TokenKind::user_defined) {
      pipeline.specials.add(vocabulary.text(id), id, false);
    }
  }
  impl->description = "tiktoken BPE";
  impl->pipeline = std::make_unique<PiecePipeline>(vocabulary, std::move(pipeline));
  return Tokenizer(std::move(impl));
}

}  // namespace llm::tokenizer
