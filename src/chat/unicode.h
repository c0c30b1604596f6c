#ifndef CHAT_UNICODE_H
#define CHAT_UNICODE_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llm::chat {

bool is_utf8(std::string_view bytes);
// Code points of valid UTF-8.
std::size_t count_code_points(std::string_view text);
// The code point at `position`, which moves behind it. Text is valid UTF-8 and position < size.
char32_t next_code_point(std::string_view text, std::size_t& position);
void append_utf8(std::string& out, char32_t code_point);

// Python's str predicates for one character.
bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_cased(char32_t c);
bool is_printable(char32_t c);
bool is_identifier_part(char32_t c);  // \w

// Full case mapping: up to three code points.
std::u32string to_upper(char32_t c);
std::u32string to_lower(char32_t c);
std::u32string to_title(char32_t c);
std::u32string to_folded(char32_t c);

}  // namespace llm::chat

#endif
