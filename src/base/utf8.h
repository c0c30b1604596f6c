#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llm {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// One character of a byte string that may hold anything.
struct Utf8Char {
  char32_t code_point = kReplacementCharacter;
  std::uint32_t length = 1;  // bytes, at least 1
  bool valid = false;
};

// Unicode's definition: overlong forms, surrogates and values above U+10FFFF are errors of one byte each.
// Needs at < end.
Utf8Char decode_utf8(const char* at, const char* end);

// By structure alone: a lead byte with its continuation bytes is one character even if its value is no code point
// (then valid is false and the value U+FFFD); other bytes stand alone. Needs at < end.
Utf8Char decode_utf8_structure(const char* at, const char* end);

// Bytes of a character by its lead byte: 1 to 4; continuation bytes and F8..FF count as 1.
std::uint32_t utf8_length_by_lead(char lead);

void append_utf8(std::string& out, char32_t code_point);

// The bytes of `text` before an unfinished character at its end: what may be shown while more bytes can follow.
std::size_t finished_utf8_bytes(std::string_view text);

bool is_valid_utf8(std::string_view text);

// Every wrong byte replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);
// Only bytes that belong to no character by structure, and values above U+10FFFF, replaced by U+FFFD; overlong forms
// become what they mean, surrogates stay.
std::string replace_stray_bytes(std::string_view text);

}  // namespace llm

#endif
