#ifndef SAMPLING_TOKEN_MASK_H
#define SAMPLING_TOKEN_MASK_H

#include <bit>
#include <cstdint>
#include <vector>

#include <llm/tokenizer.hpp>

namespace llm::sampling {

// A set of tokens: bit id % 64 of word id / 64.
class TokenMask {
 public:
  TokenMask() = default;
  explicit TokenMask(std::int32_t n_vocab) : words_((static_cast<std::size_t>(n_vocab) + 63) / 64) {}

  void set(TokenId id) { words_[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64); }
  bool test(TokenId id) const { return (words_[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0; }
  std::uint64_t word(std::size_t i) const { return i < words_.size() ? words_[i] : 0; }
  std::int64_t count() const {
    std::int64_t n = 0;
    for (std::uint64_t w : words_) n += std::popcount(w);
    return n;
  }
  std::size_t bytes() const { return words_.size() * sizeof(std::uint64_t); }
  std::size_t n_words() const { return words_.size(); }
  std::uint64_t& word_at(std::size_t i) { return words_[i]; }
  bool operator==(const TokenMask&) const = default;

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace llm::sampling

#endif
