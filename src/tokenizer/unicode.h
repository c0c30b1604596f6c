#ifndef TOKENIZER_UNICODE_H
#define TOKENIZER_UNICODE_H

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace llm::tokenizer {

// General categories and properties of a character, one bit each. Data: utf8proc (Unicode 15 in
// version 2.8) and unicode_additions.inc: together Unicode 16.
using CharFlags = std::uint16_t;
inline constexpr CharFlags kUpper = 1 << 0;           // Lu
inline constexpr CharFlags kLower = 1 << 1;           // Ll
inline constexpr CharFlags kTitle = 1 << 2;           // Lt
inline constexpr CharFlags kModifierLetter = 1 << 3;  // Lm
inline constexpr CharFlags kOtherLetter = 1 << 4;     // Lo
inline constexpr CharFlags kNonSpacingMark = 1 << 5;  // Mn
inline constexpr CharFlags kOtherMark = 1 << 6;       // Mc, Me
inline constexpr CharFlags kDecimalDigit = 1 << 7;    // Nd
inline constexpr CharFlags kOtherNumber = 1 << 8;     // Nl, No
inline constexpr CharFlags kPunctuation = 1 << 9;     // P*
inline constexpr CharFlags kSymbol = 1 << 10;         // S*
inline constexpr CharFlags kWhiteSpace = 1 << 11;     // property White_Space
inline constexpr CharFlags kControl = 1 << 12;        // Cc, Cf, Co
inline constexpr CharFlags kUnassigned = 1 << 13;     // Cn, Cs
inline constexpr CharFlags kHan = 1 << 14;            // script Han
inline constexpr CharFlags kNewline = 1 << 15;        // \r and \n
inline constexpr CharFlags kLetter = kUpper | kLower | kTitle | kModifierLetter | kOtherLetter;
inline constexpr CharFlags kMark = kNonSpacingMark | kOtherMark;
inline constexpr CharFlags kNumber = kDecimalDigit | kOtherNumber;

namespace detail {
using BasicPlane = std::array<CharFlags, 0x10000>;
const BasicPlane& basic_plane();
CharFlags compute_flags(char32_t c);
// The characters of unicode_additions.inc with one of these categories, as ranges of a regular expression's class.
std::string added_ranges(CharFlags categories);
}  // namespace detail

inline CharFlags char_flags(char32_t c) {
  static const detail::BasicPlane& plane = detail::basic_plane();
  return c < 0x10000 ? plane[c] : detail::compute_flags(c);
}

// Every character mapped to lower case by itself (U+0130 becomes two characters); invalid bytes pass unchanged.
std::string to_lower(std::string_view text);

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };
// Invalid bytes pass unchanged.
std::string normalize(std::string_view text, NormalForm form);

// Characters of a text; a byte that belongs to none counts as one.
std::size_t count_characters(std::string_view text);

}  // namespace llm::tokenizer

#endif
