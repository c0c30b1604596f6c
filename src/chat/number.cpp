#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "chat/big_integer.h"
#include "chat/unicode.h"
#include "chat/value.h"

namespace llm::chat {

namespace {

std::string_view strip_spaces(std::string_view text) {
  const auto blank = [](char c) {
    return is_space(static_cast<unsigned char>(c)) && static_cast<unsigned char>(c) < 0x80;
  };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// The value of a decimal digit of any script: runs of ten begin at a code point that ends in 0 or 6, but for the
// mathematical ones.
unsigned decimal_value(char32_t c) {
  if (c >= 0x1D7CE && c <= 0x1D7FF) return (c - 0x1D7CE) % 10;
  const unsigned last = c & 15;
  return last < 6 || (last < 10 && is_decimal(c & ~char32_t{15})) ? last : last - 6;
}

// Digits and white space of all scripts as those of ASCII.
std::string plain_digits(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c >= 0x80 && is_decimal(c)) {
      plain += static_cast<char>('0' + decimal_value(c));
    } else if (c >= 0x80 && is_space(c)) {
      plain += ' ';
    } else {
      append_utf8(plain, c);
    }
  }
  return plain;
}

// Removes the underscores that Python allows between digits.
bool without_underscores(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto digit = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    if (i == 0 || i + 1 == text.size() || !digit(text[i - 1]) || !digit(text[i + 1])) return false;
  }
  return true;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

}  // namespace

std::string format_integer(Integer value, unsigned base) {
  UnsignedInteger rest =
      value < 0 ? UnsignedInteger{0} - static_cast<UnsignedInteger>(value) : static_cast<UnsignedInteger>(value);
  std::string digits;
  do {
    digits += "0123456789abcdef"[static_cast<unsigned>(rest % base)];
    rest /= base;
  } while (rest != 0);
  if (value < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string scientific(buffer, end);
  const std::size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02d}", scientific.substr(0, e), exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  const auto fixed_end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

std::string format_integer(const Value& value) {
  return value.is_big() ? value.big_digits() : format_integer(value.integer());
}

Value Value::big(std::string_view digits) {
  constexpr Integer most = static_cast<Integer>(~UnsignedInteger{0} >> 1);
  Value value(digits.starts_with('-') ? -most : most);
  value.text_ = std::make_shared<const Text>(std::string(digits), false);
  return value;
}

double Value::real() const {
  if (kind_ == Kind::real) return data_.real;
  if (!is_big()) return static_cast<double>(integer());
  double read = 0;
  parse_real(big_digits(), read);
  return read;
}

bool parse_integer(std::string_view text, unsigned base, Integer& value) {
  Value parsed;
  if (!parse_integer(text, base, parsed)) return false;
  if (parsed.is_big()) fail("an integer is larger than 127 bits");
  value = parsed.integer();
  return true;
}

bool parse_integer(std::string_view text, unsigned base, Value& value) {
  const std::string plain = plain_digits(text);
  text = strip_spaces(plain);
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 2 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const unsigned marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) base = 10;
  std::string digits;
  if (text.empty() || base < 2 || base > 36 || !without_underscores(text, digits)) return false;
  UnsignedInteger sum = 0;
  bool too_large = false;
  const UnsignedInteger limit = (~UnsignedInteger{0}) >> 1;
  for (const char c : digits) {
    const int digit = digit_value(c);
    if (digit >= static_cast<int>(base)) return false;
    too_large = too_large || sum > (limit - static_cast<unsigned>(digit)) / base;
    if (!too_large) sum = sum * base + static_cast<unsigned>(digit);
  }
  if (!too_large) {
    value = Value(negative ? -static_cast<Integer>(sum) : static_cast<Integer>(sum));
    return true;
  }
  BigInteger big(Integer{0});
  const BigInteger by(Integer{base});
  if (base == 10) {
    big = BigInteger(std::string_view(digits));
  } else {
    for (const char c : digits) big = big * by + BigInteger(Integer{digit_value(c)});
  }
  value = (negative ? big.negated() : big).value();
  return true;
}

bool parse_real(std::string_view text, double& value) {
  const std::string plain = plain_digits(text);
  text = strip_spaces(plain);
  std::string number;
  if (text.empty() || !without_underscores(text, number)) return false;
  std::string_view rest = number;
  const bool negative = rest.front() == '-';
  if (negative || rest.front() == '+') rest.remove_prefix(1);
  if (rest.empty() || rest.front() == '-' || rest.front() == '+') return false;
  std::string lower(rest);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (!(rest.front() == '.' || (rest.front() >= '0' && rest.front() <= '9'))) return false;
    if (rest == ".") return false;
    double read = 0;
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), read);
    if (result.ec == std::errc::result_out_of_range) {
      const std::size_t e = lower.find('e');
      read = e != std::string::npos && lower.compare(e, 2, "e-") == 0 ? 0.0 : std::numeric_limits<double>::infinity();
    } else if (result.ec != std::errc()) {
      return false;
    }
    if (result.ptr != rest.data() + rest.size()) return false;
    value = read;
  }
  if (negative) value = -value;
  return true;
}

std::int64_t to_index(const Value& value, std::string_view what) {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_integral()) fail(fmt::format("{}: expected an integer, found '{}'", what, type_name(value)));
  constexpr Integer limit = Integer{1} << 62;
  return static_cast<std::int64_t>(std::clamp<Integer>(value.integer(), -limit, limit));
}

}  // namespace llm::chat
