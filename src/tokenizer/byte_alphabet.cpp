#include "tokenizer/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace llm::tokenizer {

namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Tables {
  std::array<char16_t, 256> stand_in{};
  std::array<std::int16_t, 0x144> byte{};  // stand-ins end at U+0143
};

constexpr Tables make_tables() {
  Tables tables;
  for (auto& b : tables.byte) b = -1;
  char16_t next = 0x100;
  for (unsigned b = 0; b < 256; ++b) {
    tables.stand_in[b] = stands_for_itself(b) ? static_cast<char16_t>(b) : next++;
    tables.byte[tables.stand_in[b]] = static_cast<std::int16_t>(b);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

char32_t byte_to_stand_in(unsigned char byte) {
  return kTables.stand_in[byte];
}

int stand_in_to_byte(char32_t code_point) {
  return code_point < kTables.byte.size() ? kTables.byte[code_point] : -1;
}

void append_stand_ins(std::string_view bytes, std::string& out) {
  for (const char c : bytes) append_utf8(out, byte_to_stand_in(static_cast<unsigned char>(c)));
}

bool append_bytes_of_stand_ins(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    const Utf8Char c = decode_utf8(at, end);
    const int byte = c.valid ? stand_in_to_byte(c.code_point) : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out += static_cast<char>(byte);
    at += c.length;
  }
  return true;
}

}  // namespace llm::tokenizer
