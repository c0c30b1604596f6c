#include "base/utf8.h"

#include <cstring>

namespace llm {

namespace {

std::uint32_t byte_at(const char* at) {
  return static_cast<unsigned char>(*at);
}

bool is_continuation(const char* at) {
  return (byte_at(at) & 0xC0) == 0x80;
}

constexpr char32_t kLeastOfLength[5] = {0, 0, 0x80, 0x800, 0x10000};

bool is_scalar_value(char32_t c) {
  return c < 0xD800 || (c > 0xDFFF && c <= 0x10FFFF);
}

// Length by the lead byte if all continuation bytes are there, else 0; the value in `code_point`.
std::uint32_t read_sequence(const char* at, const char* end, char32_t& code_point) {
  const std::uint32_t lead = byte_at(at);
  const std::uint32_t length = utf8_length_by_lead(*at);
  if (length == 1 || end - at < static_cast<std::ptrdiff_t>(length)) return 0;
  code_point = lead & (0x7FU >> length);
  for (std::uint32_t i = 1; i < length; ++i) {
    if (!is_continuation(at + i)) return 0;
    code_point = (code_point << 6) | (byte_at(at + i) & 0x3F);
  }
  return length;
}

}  // namespace

std::uint32_t utf8_length_by_lead(char lead) {
  const auto b = static_cast<unsigned char>(lead);
  if (b < 0xC0 || b >= 0xF8) return 1;
  return b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

Utf8Char decode_utf8(const char* at, const char* end) {
  if (byte_at(at) < 0x80) return {byte_at(at), 1, true};
  char32_t c = 0;
  const std::uint32_t length = read_sequence(at, end, c);
  if (length == 0 || c < kLeastOfLength[length] || !is_scalar_value(c)) return {};
  return {c, length, true};
}

Utf8Char decode_utf8_structure(const char* at, const char* end) {
  if (byte_at(at) < 0x80) return {byte_at(at), 1, true};
  char32_t c = 0;
  const std::uint32_t length = read_sequence(at, end, c);
  if (length == 0) return {};
  if (c < kLeastOfLength[length] || !is_scalar_value(c)) return {kReplacementCharacter, length, false};
  return {c, length, true};
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

std::size_t finished_utf8_bytes(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const char lead = text[text.size() - back];
    if (static_cast<unsigned char>(lead) < 0x80) break;
    if (static_cast<unsigned char>(lead) >= 0xC0) {
      return utf8_length_by_lead(lead) > back ? text.size() - back : text.size();
    }
  }
  return text.size();
}

bool is_valid_utf8(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    if (std::uint64_t eight = 0; end - at >= 8) {
      std::memcpy(&eight, at, sizeof eight);
      if ((eight & kHighBits) == 0) {
        at += 8;
        continue;
      }
    }
    const Utf8Char c = decode_utf8(at, end);
    if (!c.valid) return false;
    at += c.length;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    append_utf8(out, c.code_point);
    at += c.length;
  }
  return out;
}

std::string replace_stray_bytes(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    char32_t c = byte_at(at);
    const std::uint32_t length = c < 0x80 ? 1 : read_sequence(at, end, c);
    append_utf8(out, length == 0 || c > 0x10FFFF ? kReplacementCharacter : c);
    at += length == 0 ? 1 : length;
  }
  return out;
}

}  // namespace llm
