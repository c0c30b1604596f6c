#include "sampling/constraint/json_string.h"

#include <algorithm>
#include <string>

namespace llm::sampling::json_string {
namespace {

// Low byte of words[phase]; the next byte counts hexadecimal digits or missing continuation bytes.
enum Phase : std::uint32_t {
  plain,
  escape,         // behind a backslash
  hex,            // in \uXXXX; words[value] holds the digits so far
  low_backslash,  // behind a high surrogate, which is the high half of words[value]
  low_u,
  low_hex,
  continuation,  // inside a UTF-8 character; words[value] holds the least and the greatest next byte
};
constexpr std::uint32_t with_count(Phase p, std::uint32_t n) {
  return static_cast<std::uint32_t>(p) | n << 8;
}

// The characters that may be written as \uXXXX.
bool needs_escape(std::uint32_t c) {
  return c < 0x20 || c >= 0x7f || c == '"' || c == '\\';
}

// Whether some code point in [low, high] may come next.
bool any_alive(const Words& words, std::uint32_t low, std::uint32_t high, const StringSpec& spec, const Alive& alive) {
  if (spec.any) return alive(0, words[length] + 1);
  // Runs of code points that lead to one state: at most one for each combination of edges.
  for (const ByteSequence& sequence : utf8_sequences(CodePointSet{{low, high}})) {
    struct Part {
      std::uint32_t state;
      std::size_t depth;
    };
    std::vector<Part> work = {{words[state], 0}};
    while (!work.empty()) {
      const Part part = work.back();
      work.pop_back();
      if (part.depth == sequence.size) {
        if (alive(part.state, words[length] + 1)) return true;
        continue;
      }
      const ByteSequence::Range range = sequence.ranges[part.depth];
      for (const Dfa::Edge& e : spec.dfa.states[part.state].edges) {
        if (e.high >= range.low && e.low <= range.high) work.push_back({e.target, part.depth + 1});
      }
    }
  }
  return false;
}

bool finish(Words& words, std::uint32_t code_point, const StringSpec& spec, const Alive& alive) {
  if (!spec.any) {
    std::string bytes;
    append_utf8(bytes, code_point);
    words[state] = spec.dfa.run(words[state], bytes);
    if (words[state] == Dfa::dead) return false;
  }
  if (words[length] < unlimited - 1) ++words[length];
  words[phase] = plain;
  words[value] = 0;
  return alive(words[state], words[length]);
}

int hex_digit(std::uint8_t b) {
  return b >= '0' && b <= '9'   ? b - '0'
         : b >= 'a' && b <= 'f' ? b - 'a' + 10
         : b >= 'A' && b <= 'F' ? b - 'A' + 10
                                : -1;
}

// Whether a code point that is written as an escape beginning with these digits can come next.
bool escape_alive(const Words& words, std::uint32_t digits, std::uint32_t n, const StringSpec& spec,
                  const Alive& alive) {
  const std::uint32_t shift = 4 * (4 - n);
  const std::uint32_t low = digits << shift, high = low + ((1u << shift) - 1);
  struct Run {
    std::uint32_t low, high;
  };
  for (const Run run : {Run{0, 0x1f}, Run{'"', '"'}, Run{'\\', '\\'}, Run{0x7f, 0xd7ff}, Run{0xe000, 0xffff}}) {
    const std::uint32_t a = std::max(low, run.low), b = std::min(high, run.high);
    if (a <= b && any_alive(words, a, b, spec, alive)) return true;
  }
  const std::uint32_t a = std::max(low, 0xd800u), b = std::min(high, 0xdbffu);
  if (a > b) return false;
  return any_alive(words, 0x10000 + ((a - 0xd800) << 10), 0x10000 + ((b - 0xd800) << 10) + 0x3ff, spec, alive);
}

bool read_escape(Words& words, std::uint8_t byte, const StringSpec& spec, const Alive& alive) {
  switch (byte) {
    case 'n':
      return finish(words, '\n', spec, alive);
    case 't':
      return finish(words, '\t', spec, alive);
    case 'r':
      return finish(words, '\r', spec, alive);
    case 'b':
      return finish(words, '\b', spec, alive);
    case 'f':
      return finish(words, '\f', spec, alive);
    case '"':
    case '\\':
      return finish(words, byte, spec, alive);
    case 'u':
      words[phase] = with_count(hex, 0);
      words[value] = 0;
      return escape_alive(words, 0, 0, spec, alive);
    default:
      return false;
  }
}

bool read_hex(Words& words, std::uint8_t byte, const StringSpec& spec, const Alive& alive) {
  const int digit = hex_digit(byte);
  if (digit < 0) return false;
  const std::uint32_t n = (words[phase] >> 8) + 1;
  const std::uint32_t digits = words[value] << 4 | static_cast<std::uint32_t>(digit);
  if (n < 4) {
    words[phase] = with_count(hex, n);
    words[value] = digits;
    return escape_alive(words, digits, n, spec, alive);
  }
  if (digits >= 0xd800 && digits < 0xdc00) {
    words[phase] = low_backslash;
    words[value] = digits << 16;
    return escape_alive(words, digits, 4, spec, alive);
  }
  if ((digits >= 0xdc00 && digits < 0xe000) || !needs_escape(digits)) return false;
  return finish(words, digits, spec, alive);
}

bool read_low_hex(Words& words, std::uint8_t byte, const StringSpec& spec, const Alive& alive) {
  const int digit = hex_digit(byte);
  if (digit < 0) return false;
  const std::uint32_t n = (words[phase] >> 8) + 1;
  const std::uint32_t high = words[value] >> 16;
  const std::uint32_t digits = (words[value] & 0xffff) << 4 | static_cast<std::uint32_t>(digit);
  const std::uint32_t shift = 4 * (4 - n);
  const std::uint32_t a = std::max(digits << shift, 0xdc00u);
  const std::uint32_t b = std::min((digits << shift) + ((1u << shift) - 1), 0xdfffu);
  if (a > b) return false;
  const std::uint32_t base = 0x10000 + ((high - 0xd800) << 10) - 0xdc00;
  if (n == 4) return finish(words, base + digits, spec, alive);
  words[phase] = with_count(low_hex, n);
  words[value] = high << 16 | digits;
  return any_alive(words, base + a, base + b, spec, alive);
}

// A byte of a character written as itself.
bool read_plain(Words& words, std::uint8_t byte, const StringSpec& spec, const Alive& alive) {
  std::uint32_t n = 0, least = 0x80, greatest = 0xbf;
  if (byte < 0x20) return false;
  if (byte >= 0x80) {
    // Well-formed sequences: Unicode 15, table 3-7.
    if (byte < 0xc2 || byte > 0xf4) return false;
    n = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte == 0xe0) least = 0xa0;
    if (byte == 0xed) greatest = 0x9f;
    if (byte == 0xf0) least = 0x90;
    if (byte == 0xf4) greatest = 0x8f;
  }
  if (!spec.any) {
    words[state] = spec.dfa.step(words[state], byte);
    if (words[state] == Dfa::dead) return false;
  }
  // The character counts when it begins: the table of live states is made that way.
  if (words[length] < unlimited - 1) ++words[length];
  if (n > 0) {
    words[phase] = with_count(continuation, n);
    words[value] = least << 8 | greatest;
  }
  return alive(words[state], words[length]);
}

bool read_continuation(Words& words, std::uint8_t byte, const StringSpec& spec, const Alive& alive) {
  if (byte < words[value] >> 8 || byte > (words[value] & 0xff)) return false;
  if (!spec.any) {
    words[state] = spec.dfa.step(words[state], byte);
    if (words[state] == Dfa::dead) return false;
  }
  const std::uint32_t n = (words[phase] >> 8) - 1;
  words[phase] = n == 0 ? static_cast<std::uint32_t>(plain) : with_count(continuation, n);
  words[value] = n == 0 ? 0 : 0x80 << 8 | 0xbf;
  return alive(words[state], words[length]);
}

}  // namespace

void start(Words words) {
  std::fill(words.begin(), words.end(), 0);
}

bool read(Words words, std::uint8_t byte, const StringSpec& spec, const Alive& alive) {
  switch (words[phase] & 0xff) {
    case plain:
      if (byte != '\\') return read_plain(words, byte, spec, alive);
      words[phase] = escape;
      for (std::uint32_t c : {0x08u, 0x09u, 0x0au, 0x0cu, 0x0du, 0x22u, 0x5cu}) {
        if (any_alive(words, c, c, spec, alive)) return true;
      }
      return escape_alive(words, 0, 0, spec, alive);
    case escape:
      return read_escape(words, byte, spec, alive);
    case hex:
      return read_hex(words, byte, spec, alive);
    case low_backslash:
      words[phase] = low_u;
      return byte == '\\';
    case low_u:
      words[phase] = with_count(low_hex, 0);
      return byte == 'u';
    case low_hex:
      return read_low_hex(words, byte, spec, alive);
    default:
      return read_continuation(words, byte, spec, alive);
  }
}

bool between_characters(std::span<const std::uint32_t, n_words> words) {
  return words[phase] == plain;
}

}  // namespace llm::sampling::json_string
