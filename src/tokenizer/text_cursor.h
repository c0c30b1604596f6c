#ifndef TOKENIZER_TEXT_CURSOR_H
#define TOKENIZER_TEXT_CURSOR_H

#include <string_view>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

// The character at a place of a text, with its categories.
struct TextChar {
  char32_t code_point = 0;
  CharFlags flags = 0;  // 0 at the end of the text
  std::size_t end = 0;  // where the next one starts
  bool is(CharFlags any_of) const { return (flags & any_of) != 0; }
};

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}
  std::size_t size() const { return text_.size(); }
  std::string_view text() const { return text_; }

  TextChar at(std::size_t position) const {
    if (position >= text_.size()) return {0, 0, position};
    const auto byte = static_cast<unsigned char>(text_[position]);
    if (byte < 0x80) return {byte, char_flags(byte), position + 1};
    const Utf8Char c = decode_utf8_structure(text_.data() + position, text_.data() + text_.size());
    return {c.code_point, char_flags(c.code_point), position + c.length};
  }
  std::size_t next(std::size_t position) const { return at(position).end; }

  // End of the run of characters with one of these flags.
  std::size_t skip(std::size_t position, CharFlags any_of) const {
    for (TextChar c = at(position); position < text_.size() && c.is(any_of); c = at(position)) position = c.end;
    return position;
  }
  // End of the run of characters with none of these flags.
  std::size_t skip_not(std::size_t position, CharFlags none_of) const {
    for (TextChar c = at(position); position < text_.size() && !c.is(none_of); c = at(position)) position = c.end;
    return position;
  }
  std::size_t skip_at_most(std::size_t position, CharFlags any_of, unsigned n) const {
    for (TextChar c = at(position); n > 0 && position < text_.size() && c.is(any_of); c = at(position)) {
      position = c.end;
      --n;
    }
    return position;
  }

 private:
  std::string_view text_;
};

}  // namespace llm::tokenizer

#endif
