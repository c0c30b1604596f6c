#include "tokenizer/older_unicode.h"

#include "tokenizer/character_set.h"

namespace llm::tokenizer::older {

namespace {

#include "tokenizer/tokenizers_exceptions.inc"

// None of the tables has an earlier one.
constexpr char32_t kFirstException = 0x61D;

bool differs(std::span<const CharacterRange> exceptions, char32_t c) {
  return c >= kFirstException && contains(exceptions, c);
}

}  // namespace

bool is_punctuation(char32_t c, CharFlags flags) {
  return ((flags & kPunctuation) != 0) != differs(kPunctuationExceptions, c);
}

bool is_control(char32_t c, CharFlags flags) {
  return ((flags & kControl) != 0) != differs(kControlExceptions, c);
}

bool is_non_spacing_mark(char32_t c, CharFlags flags) {
  return ((flags & kNonSpacingMark) != 0) != differs(kAccentExceptions, c);
}

bool is_mark(char32_t c, CharFlags flags) {
  return ((flags & kMark) != 0) != differs(kMarkExceptions, c);
}

bool has_no_decomposition(char32_t c) {
  return differs(kCompatibleExceptions, c);
}

}  // namespace llm::tokenizer::older
