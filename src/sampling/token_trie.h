#ifndef SAMPLING_TOKEN_TRIE_H
#define SAMPLING_TOKEN_TRIE_H

#include <cstdint>
#include <string_view>
#include <vector>

#include "sampling/token_table.h"

namespace llm::sampling {

// The tokens of a vocabulary by their bytes, as a trie in depth-first order: a walk is one pass over an array, and
// skips what begins with bytes that lead nowhere.
class TokenTrie {
 public:
  struct Node {
    std::int32_t token = -1;  // that ends here, the first of several with equal bytes; -1: none
    std::uint32_t skip = 0;   // index of the first node that is not below this one
    std::uint16_t depth = 0;  // of the node's byte in a token, from 0
    std::uint8_t byte = 0;
  };
  // Tokens of min_bytes to max_bytes bytes.
  TokenTrie(const TokenTable& tokens, std::size_t min_bytes, std::size_t max_bytes);

  const std::vector<Node>& nodes() const { return nodes_; }
  std::size_t max_depth() const { return max_depth_; }
  // The next token with the same bytes, or -1.
  std::int32_t next_same(std::int32_t token) const { return next_same_[static_cast<std::size_t>(token)]; }
  // The longest token that `bytes` begin with, or -1.
  std::int32_t longest_prefix(std::string_view bytes) const;

 private:
  std::vector<Node> nodes_;
  std::vector<std::int32_t> next_same_;  // [n_vocab]
  std::size_t max_depth_ = 0;
};

// A vocabulary made ready for constraints; once for a model. Refers to the table.
struct VocabularyIndex {
  explicit VocabularyIndex(const TokenTable& table);

  // Longer tokens are few; they are looked at apart, so that a state far from the end of a count serves for many.
  static constexpr std::size_t max_short_bytes = 16;
  static constexpr std::size_t max_bytes = 1024;  // no answer needs longer tokens

  const TokenTable& tokens;
  TokenTrie short_tokens, long_tokens;
};

}  // namespace llm::sampling

#endif
