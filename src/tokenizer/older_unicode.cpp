#include "tokenizer/older_unicode.h"

#include "tokenizer/character_set.h"
#include "tokenizer/text_cursor.h"

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

// What stays is no part of another's composition either.
std::string normalize(std::string_view text, NormalForm form) {
  std::string out;
  const TextCursor cursor(text);
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const TextChar c = cursor.at(at);
    const bool stays = differs(kOrderExceptions, c.code_point) ||
                       (form != NormalForm::nfc && differs(kCompatibleExceptions, c.code_point));
    if (stays) {
      out += tokenizer::normalize(text.substr(done, at - done), form);
      out += text.substr(at, c.end - at);
      done = c.end;
    }
    at = c.end;
  }
  return done == 0 ? tokenizer::normalize(text, form) : out + tokenizer::normalize(text.substr(done), form);
}

}  // namespace llm::tokenizer::older
