#include "tokenizer/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/utf8.h"
#include "tokenizer/character_set.h"

namespace llm::tokenizer {

namespace {

// Scripts.txt of Unicode 15, script Han.
constexpr CharacterRange kHanRanges[] = {{0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},   {0x3005, 0x3005},
                                         {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303B},   {0x3400, 0x4DBF},
                                         {0x4E00, 0x9FFF},   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
                                         {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D},
                                         {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0}, {0x2EBF0, 0x2EE5D}, {0x2F800, 0x2FA1D},
                                         {0x30000, 0x3134A}, {0x31350, 0x323AF}};

struct Addition {
  char32_t first, last;
  CharFlags category;
};

// Characters that newer versions of Unicode have added, in ascending order.
constexpr Addition kAdditions[] = {
#include "tokenizer/unicode_additions.inc"
};

// PropList.txt, property White_Space.
bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

CharFlags category_flag(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
      return kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLower;
    case UTF8PROC_CATEGORY_LT:
      return kTitle;
    case UTF8PROC_CATEGORY_LM:
      return kModifierLetter;
    case UTF8PROC_CATEGORY_LO:
      return kOtherLetter;
    case UTF8PROC_CATEGORY_MN:
      return kNonSpacingMark;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kOtherMark;
    case UTF8PROC_CATEGORY_ND:
      return kDecimalDigit;
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kOtherNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
      return kControl;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return 0;
    default:
      return kUnassigned;
  }
}

// Hands every valid stretch to `on_valid` and copies invalid bytes.
template <typename Function>
std::string over_valid_text(std::string_view text, Function&& on_valid) {
  std::string out;
  out.reserve(text.size());
  const char* end = text.data() + text.size();
  const char* start = text.data();
  for (const char* at = start; at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    if (!c.valid) {
      on_valid(std::string_view(start, static_cast<std::size_t>(at - start)), out);
      out += *at;
      start = at + 1;
    }
    at += c.length;
  }
  on_valid(std::string_view(start, static_cast<std::size_t>(end - start)), out);
  return out;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// The full decomposition of a valid text, marks in the order in which they come.
void decompose(std::string_view text, int options, std::vector<utf8proc_int32_t>& out) {
  constexpr std::size_t kMostCharacters = 32;  // of one character; Unicode's longest are 18
  out.clear();
  out.reserve(text.size() / 2 + kMostCharacters);
  const auto how = static_cast<utf8proc_option_t>((options & UTF8PROC_COMPAT) | UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
  int boundary = 0;
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    at += c.length;
    utf8proc_int32_t parts[kMostCharacters];
    const utf8proc_ssize_t n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code_point), parts,
                                                       static_cast<utf8proc_ssize_t>(kMostCharacters), how, &boundary);
    out.insert(out.end(), parts, parts + n);
  }
}

int combining_class(utf8proc_int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

// Canonical order: every run of marks by combining class. utf8proc's own sorting takes quadratic time in a run's
// length.
void order_marks(std::vector<utf8proc_int32_t>& characters) {
  const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) != 0; };
  const auto by_class = [](utf8proc_int32_t a, utf8proc_int32_t b) { return combining_class(a) < combining_class(b); };
  for (auto at = characters.begin(); at != characters.end();) {
    const auto begin = std::find_if(at, characters.end(), is_mark);
    at = std::find_if_not(begin, characters.end(), is_mark);
    if (!std::is_sorted(begin, at, by_class)) std::stable_sort(begin, at, by_class);
  }
}

void normalize_valid(std::string_view text, int options, std::string& out) {
  // Whole buffers of 4 bytes a character: cut long texts at ASCII characters, which never combine with what is before.
  constexpr std::size_t kStretch = 1 << 16;
  std::vector<utf8proc_int32_t> characters;
  while (!text.empty()) {
    std::size_t cut = text.size();
    if (cut > kStretch) {
      cut = kStretch;
      while (cut < text.size() && static_cast<unsigned char>(text[cut]) >= 0x80) ++cut;
    }
    const std::string_view part = text.substr(0, cut);
    text.remove_prefix(cut);
    if (is_ascii(part)) {
      out += part;
      continue;
    }
    decompose(part, options, characters);
    order_marks(characters);
    const utf8proc_ssize_t n =
        utf8proc_normalize_utf32(characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
                                 static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
    for (utf8proc_ssize_t i = 0; i < n; ++i) {
      append_utf8(out, static_cast<char32_t>(characters[static_cast<std::size_t>(i)]));
    }
  }
}

}  // namespace

namespace detail {

CharFlags compute_flags(char32_t c) {
  const auto* addition = std::lower_bound(std::begin(kAdditions), std::end(kAdditions), c,
                                          [](const Addition& a, char32_t x) { return a.last < x; });
  const bool added = addition != std::end(kAdditions) && c >= addition->first;
  CharFlags flags = added ? addition->category : category_flag(c);
  if (is_white_space(c)) flags |= kWhiteSpace;
  if (c == '\r' || c == '\n') flags |= kNewline;
  if (contains(kHanRanges, c)) flags |= kHan;
  return flags;
}

std::string added_ranges(CharFlags categories) {
  std::string ranges;
  for (const Addition& a : kAdditions) {
    if ((a.category & categories) != 0) {
      ranges += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<unsigned>(a.first), static_cast<unsigned>(a.last));
    }
  }
  return ranges;
}

const BasicPlane& basic_plane() {
  static const std::unique_ptr<const BasicPlane> plane = [] {
    auto table = std::make_unique<BasicPlane>();
    for (char32_t c = 0; c < table->size(); ++c) (*table)[c] = compute_flags(c);
    return table;
  }();
  return *plane;
}

}  // namespace detail

namespace {

// Letters newer than utf8proc 2.8, Unicode 16 and 17 (lower-case mappings of UnicodeData.txt).
char32_t newer_lower(char32_t c) {
  struct Shift {
    char32_t first, last;
    std::int32_t by;
  };
  constexpr Shift kShifts[] = {{0x1C89, 0x1C89, 1},      {0xA7CB, 0xA7CB, 0x264 - 0xA7CB},
                               {0xA7CC, 0xA7CC, 1},      {0xA7CE, 0xA7CE, 1},
                               {0xA7D2, 0xA7D2, 1},      {0xA7D4, 0xA7D4, 1},
                               {0xA7DA, 0xA7DA, 1},      {0xA7DC, 0xA7DC, 0x19B - 0xA7DC},
                               {0x10D50, 0x10D65, 0x20}, {0x16EA0, 0x16EB8, 0x1B}};
  for (const Shift& shift : kShifts) {
    if (c >= shift.first && c <= shift.last) return static_cast<char32_t>(static_cast<std::int32_t>(c) + shift.by);
  }
  return c;
}

}  // namespace

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    if (c.code_point < 0x80) {
      out += *at >= 'A' && *at <= 'Z' ? static_cast<char>(*at + 32) : *at;
    } else if (!c.valid) {
      out += *at;
    } else if (c.code_point == 0x130) {
      out += "i\xCC\x87";
    } else {
      const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code_point)));
      append_utf8(out, lower == c.code_point && lower >= 0x1C89 ? newer_lower(lower) : lower);
    }
    at += c.length;
  }
  return out;
}

std::string normalize(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  int options = 0;
  switch (form) {
    case NormalForm::nfc:
      options = UTF8PROC_COMPOSE;
      break;
    case NormalForm::nfd:
      options = UTF8PROC_DECOMPOSE;
      break;
    case NormalForm::nfkc:
      options = UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
      break;
    case NormalForm::nfkd:
      options = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
      break;
  }
  return over_valid_text(text,
                         [options](std::string_view part, std::string& out) { normalize_valid(part, options, out); });
}

std::size_t count_characters(std::string_view text) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < text.size(); ++n) at += decode_utf8(text.data() + at, text.data() + text.size()).length;
  return n;
}

}  // namespace llm::tokenizer
