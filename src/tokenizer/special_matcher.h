#ifndef TOKENIZER_SPECIAL_MATCHER_H
#define TOKENIZER_SPECIAL_MATCHER_H

#include <array>
#include <cstdint>
#include <llm/tokenizer.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace llm::tokenizer {

// A stretch of a text, in bytes.
struct TextRange {
  std::size_t begin = 0, end = 0;
};

// Finds the texts of tokens in a text: the leftmost, of those the longest. A trie over bytes.
class SpecialMatcher {
 public:
  // `always`: found anywhere; otherwise only inside the ranges where control tokens are recognised. Of two tokens with
  // one text the first added counts. Empty texts are ignored.
  void add(std::string_view text, TokenId id, bool always);
  bool empty() const { return nodes_.size() == 1; }
  bool has_always() const { return has_always_; }

  struct Match {
    std::size_t begin = 0, end = 0;
    TokenId id = -1;  // -1: none
  };
  // `parse`: ascending, disjoint ranges.
  Match find(std::string_view text, std::size_t from, std::span<const TextRange> parse) const;
  // The longest token whose text starts at `at`, whatever its kind.
  Match longest_at(std::string_view text, std::size_t at) const;

 private:
  struct Node {
    TokenId id = -1;
    bool always = false;
    std::int32_t first_child = -1, next_sibling = -1;
    unsigned char byte = 0;
  };
  std::int32_t child(std::int32_t node, unsigned char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<std::int32_t, 256> roots_ = filled();  // children of the root by byte
  bool has_always_ = false;

  static constexpr std::array<std::int32_t, 256> filled() {
    std::array<std::int32_t, 256> none{};
    for (auto& n : none) n = -1;
    return none;
  }
};

}  // namespace llm::tokenizer

#endif
