#include "tokenizer/plamo2.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

namespace {

constexpr double kScoreScale = 1e4;
constexpr std::int64_t kUnknownScore = -10'000'000;
// Tokens with a score of this or less are not used.
constexpr double kInvalidScore = -20'000'000;

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

Plamo2::Plamo2(const Vocabulary& vocabulary, std::string_view source)
    : vocabulary_(vocabulary), trie_(vocabulary.text_bytes()) {
  byte_tokens_.fill(kNoToken);
  const auto n = static_cast<std::size_t>(vocabulary.size());
  scores_.resize(n);
  n_characters_.resize(n);
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view text = vocabulary.text(id);
    if (vocabulary.kind(id) == TokenKind::byte) {
      if (const int byte = byte_token_value(text); byte >= 0) byte_tokens_[static_cast<std::size_t>(byte)] = id;
      continue;
    }
    const double score = std::round(static_cast<double>(vocabulary.score(id)) * kScoreScale);
    if (!(score > kInvalidScore) || score > std::numeric_limits<std::int32_t>::max() || !is_valid_utf8(text)) continue;
    const auto i = static_cast<std::size_t>(id);
    scores_[i] = static_cast<std::int32_t>(score);
    n_characters_[i] = static_cast<std::uint32_t>(count_characters(text));
    most_characters_ = std::max<std::size_t>(most_characters_, n_characters_[i]);
    trie_.add(text, id);
  }
  for (std::size_t b = 0; b < byte_tokens_.size(); ++b) {
    if (byte_tokens_[b] == kNoToken) {
      throw Error(ErrorCode::model, fmt::format("{}: tokenizer.ggml.tokens: no byte token <0x{:02X}>", source, b));
    }
  }
}

void Plamo2::encode(std::string_view piece, Scratch&, std::vector<TokenId>& out) const {
  const std::string text = replace_invalid_utf8(piece.starts_with("\uFEFF") ? piece.substr(3) : piece);
  // Cost of the rest of the text, for the longest token's reach; the first token of every rest.
  const std::size_t reach = most_characters_ + 1;
  std::vector<std::int64_t> cost(reach, 0);
  std::vector<TokenId> first;  // by character from the end; kNoToken: bytes
  std::vector<TokenId> matches;
  for (std::size_t at = text.size(); at > 0;) {
    do --at;
    while (is_continuation(text[at]));
    const std::size_t position = first.size() + 1;  // characters from here to the end
    matches.clear();
    std::uint32_t node = ByteTrie::kRoot;
    for (std::size_t i = at; i < text.size(); ++i) {
      node = trie_.child(node, text[i]);
      if (node == ByteTrie::kNone) break;
      if (trie_.value(node) != kNoToken) matches.push_back(trie_.value(node));
    }
    std::int64_t best = std::numeric_limits<std::int64_t>::max();
    TokenId best_token = kNoToken;
    for (auto id = matches.rbegin(); id != matches.rend(); ++id) {
      const auto i = static_cast<std::size_t>(*id);
      const std::int64_t total = cost[(position - n_characters_[i]) % reach] - scores_[i];
      if (total < best) {
        best = total;
        best_token = *id;
      }
    }
    const std::int64_t unknown = cost[(position - 1) % reach] - kUnknownScore;
    if (unknown < best) {
      best = unknown;
      best_token = kNoToken;
    }
    cost[position % reach] = best;
    first.push_back(best_token);
  }
  std::size_t at = 0;
  for (std::size_t left = first.size(); left > 0;) {
    const TokenId id = first[left - 1];
    if (id != kNoToken) {
      out.push_back(id);
      at += vocabulary_.text(id).size();
      left -= n_characters_[static_cast<std::size_t>(id)];
      continue;
    }
    const std::size_t end = at + decode_utf8(text.data() + at, text.data() + text.size()).length;
    for (; at < end; ++at) out.push_back(byte_tokens_[static_cast<unsigned char>(text[at])]);
    --left;
  }
}

}  // namespace llm::tokenizer
