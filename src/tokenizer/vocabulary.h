#ifndef TOKENIZER_VOCABULARY_H
#define TOKENIZER_VOCABULARY_H

#include <algorithm>
#include <cstdint>
#include <limits>
#include <llm/tokenizer.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace llm::tokenizer {

inline constexpr TokenId kNoToken = -1;
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, a space in SentencePiece vocabularies

// Bytes of a character by the upper half of its lead byte, as SentencePiece vocabularies are cut.
inline std::size_t unit_length(char lead) {
  constexpr unsigned char kLengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
  return kLengths[static_cast<unsigned char>(lead) >> 4];
}

// The tokens of a tokenizer: id -> text, kind, score, and text -> id. Texts lie one after the other in one block.
class Vocabulary {
 public:
  void reserve(std::size_t n_tokens, std::size_t text_bytes);
  // Appends a token; its id is the number of tokens before. Throws Error(model) beyond 2^31 tokens or 4 GB of text.
  TokenId add(std::string_view text, TokenKind kind = TokenKind::normal, float score = 0);
  // Makes find() work; call after the last add(). The first of equal texts wins. Returns the second id of the first
  // pair of equal texts that are not both empty, or kNoToken.
  TokenId build_index();

  std::int32_t size() const { return static_cast<std::int32_t>(kinds_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  std::string_view text(TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return {texts_.data() + starts_[i], starts_[i + 1] - starts_[i]};
  }
  TokenKind kind(TokenId id) const { return kinds_[static_cast<std::size_t>(id)]; }
  void set_kind(TokenId id, TokenKind kind) { kinds_[static_cast<std::size_t>(id)] = kind; }
  float score(TokenId id) const { return scores_[static_cast<std::size_t>(id)]; }
  TokenId find(std::string_view text) const { return find_hashed(text, hash(text)); }
  // find() among the first set_model_size() ids: tokens added to a model later are none of its own.
  TokenId find_in_model(std::string_view text) const {
    const TokenId id = find(text);
    return id < model_size_ ? id : kNoToken;
  }
  void set_model_size(TokenId n) { model_size_ = n; }
  std::int32_t model_size() const { return std::min(model_size_, size()); }
  std::size_t text_bytes() const { return texts_.size(); }  // of all tokens together
  std::size_t longest_text_bytes() const { return longest_; }

  // find() in two steps, for callers that look up many texts at once.
  static std::uint64_t hash(std::string_view text);
  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&slots_[hash & mask_]); }
  TokenId find_hashed(std::string_view text, std::uint64_t hash) const;

 private:
  struct Slot {
    std::uint32_t tag = 0;
    TokenId id = kNoToken;
  };
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

  std::string texts_;
  std::vector<std::uint32_t> starts_ = {0};  // [size() + 1]
  std::vector<TokenKind> kinds_;
  std::vector<float> scores_;
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  std::uint64_t mask_ = 0;
  TokenId model_size_ = std::numeric_limits<TokenId>::max();
  std::size_t longest_ = 0;
};

// The value of a byte token such as "<0x0A>", or -1.
int byte_token_value(std::string_view text);
// "<0x0A>" for 10.
std::string byte_token_text(unsigned char byte);

}  // namespace llm::tokenizer

#endif
