#include <utf8proc.h>

#include <string_view>

#include "tokenizer/character_set.h"
#include "tokenizer/run_splitters.h"

namespace llm::tokenizer {

namespace {

bool in(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

bool is_one_of(char32_t c, std::u32string_view set) {
  return set.find(c) != std::u32string_view::npos;
}

// Letters of cased scripts as DeepSeek-LLM's tokenizer lists them.
constexpr CharacterRange kDeepSeekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
    {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},
    {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},
    {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};

// CJK ideographs and compatibility, kana, half-width kana, radicals, Thai, Lao, Khmer, Myanmar, Hangul.
constexpr CharacterRange kAsian[] = {{0xE40, 0xE7F},   {0xE80, 0xEFF},   {0x1000, 0x109F}, {0x1100, 0x11FF},
                                     {0x1780, 0x17FF}, {0x2F00, 0x2FDF}, {0x3040, 0x309F}, {0x30A0, 0x30FF},
                                     {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA9E0, 0xA9FF}, {0xAA60, 0xAA7F},
                                     {0xAC00, 0xD7AF}, {0xF900, 0xFAFF}, {0xFF65, 0xFF9F}};

constexpr CharacterRange kYoutuPunctuation[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D},
                                                {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
                                                {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};

}  // namespace

int class_newline(char32_t, CharFlags flags) {
  return (flags & kNewline) != 0;
}
int class_letter(char32_t, CharFlags flags) {
  return (flags & kLetter) != 0;
}
int class_number(char32_t, CharFlags flags) {
  return (flags & kNumber) != 0;
}
int class_punctuation(char32_t, CharFlags flags) {
  return (flags & kPunctuation) != 0;
}
int class_white_space(char32_t, CharFlags flags) {
  return (flags & kWhiteSpace) != 0;
}

int class_default_punctuation(char32_t c, CharFlags flags) {
  return (flags & kPunctuation) != 0 || is_one_of(c, U"$+<=>^~|");
}

int class_falcon_punctuation(char32_t c, CharFlags flags) {
  return class_default_punctuation(c, flags) || c == '`';
}

int class_any_punctuation(char32_t c, CharFlags flags) {
  return (flags & kPunctuation) != 0 || in(c, '!', '/') || in(c, ':', '@') || in(c, '[', '`') || in(c, '{', '~');
}

int class_deepseek_letter(char32_t c, CharFlags) {
  return contains(kDeepSeekLetters, c);
}

int class_deepseek_punctuation(char32_t c, CharFlags) {
  return in(c, '!', '/') || in(c, ':', '~') || in(c, 0xFF01, 0xFF0F) || in(c, 0xFF1A, 0xFF5E) ||
         in(c, 0x2018, 0x201F) || in(c, 0x3000, 0x3002);
}

int class_deepseek_cjk(char32_t c, CharFlags) {
  return in(c, 0x800, 0x9FA5) || in(c, 0xAC00, 0xD7FF);
}

int class_kana_ideograph(char32_t c, CharFlags) {
  return in(c, 0x3040, 0x30FF) || in(c, 0x4E00, 0x9FA5);
}

int class_asian(char32_t c, CharFlags) {
  return contains(kAsian, c);
}

int class_youtu(char32_t c, CharFlags flags) {
  if (c < 0x2000) return 0;
  if (in(c, 0xAC00, 0xD7A3) || in(c, 0x3131, 0x318E)) return 1;
  if (contains(kYoutuPunctuation, c)) return 2;
  if (in(c, 0x3105, 0x312F)) return 3;
  return class_kana_ideograph(c, flags) != 0 ? 4 : 0;
}

int class_word_like(char32_t c, CharFlags flags) {
  return (flags & kWhiteSpace) == 0 && !is_one_of(c, U"(|.,!?)\x2026\x3002\xFF0C\x3001\x0964\x06D4\x060C");
}

bool is_word_character(char32_t c) {
  if ((char_flags(c) & (kLetter | kMark | kDecimalDigit)) != 0) return true;
  if (in(c, 0x24B6, 0x24E9) || in(c, 0x1F130, 0x1F149) || in(c, 0x1F150, 0x1F169) || in(c, 0x1F170, 0x1F189))
    return true;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC;
}

int class_line(char32_t c, CharFlags) {
  return c == '\n' ? 2 : 1;
}

}  // namespace llm::tokenizer
