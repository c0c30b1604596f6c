#ifndef TOKENIZER_CHARACTER_SET_H
#define TOKENIZER_CHARACTER_SET_H

#include <algorithm>
#include <span>

namespace llm::tokenizer {

struct CharacterRange {
  char32_t first, last;
};

// Whether one of the ranges, which are in ascending order, holds the character.
inline bool contains(std::span<const CharacterRange> ranges, char32_t c) {
  const auto range =
      std::lower_bound(ranges.begin(), ranges.end(), c, [](const CharacterRange& r, char32_t x) { return r.last < x; });
  return range != ranges.end() && c >= range->first;
}

}  // namespace llm::tokenizer

#endif
