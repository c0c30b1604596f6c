#include "chat/lexer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <llm/error.hpp>

#include "chat/unicode.h"

namespace llm::chat {

void fail_at(Place place, const std::string& message) {
  throw Error(ErrorCode::usage, fmt::format("line {}, column {}: {}", place.line, place.column, message));
}

namespace {

constexpr std::array<std::string_view, 26> operators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                        "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                        ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit_of(char c, int base) {
  if (c >= '0' && c <= '9') return c - '0' < base;
  const char lower = static_cast<char>(c | 0x20);
  return base == 16 && lower >= 'a' && lower <= 'f';
}

class Lexer {
 public:
  explicit Lexer(const std::string& source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    push(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  bool starts(std::string_view text, std::size_t position) const {
    return source_.compare(position, text.size(), text) == 0;
  }

  // The place of a byte; positions come in order.
  Place place(std::size_t position) {
    for (; counted_ < position; ++counted_) {
      if (source_[counted_] == '\n') {
        place_.line++;
        place_.column = 1;
      } else if ((static_cast<unsigned char>(source_[counted_]) & 0xC0) != 0x80) {
        place_.column++;
      }
    }
    return place_;
  }

  void push(TokenKind kind, std::string text) { push_at(kind, std::move(text), at_); }
  void push_at(TokenKind kind, std::string text, std::size_t position) {
    tokens_.push_back({kind, std::move(text), place(position)});
  }

  std::size_t skip_space(std::size_t position) const {
    while (position < source_.size()) {
      std::size_t next = position;
      if (!is_space(next_code_point(source_, next))) break;
      position = next;
    }
    return position;
  }

  static void strip_end(std::string& text) {
    while (!text.empty()) {
      std::size_t begin = text.size() - 1;
      while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
      std::size_t position = begin;
      if (!is_space(next_code_point(text, position))) return;
      text.resize(begin);
    }
  }

  // White space before a tag: `-` strips all of it, without `+` that at the start of the tag's line goes.
  void strip_before(std::string& text, char sign, bool is_variable) const {
    if (sign == '-') {
      strip_end(text);
    } else if (sign != '+' && !is_variable) {
      const std::size_t newline = text.rfind('\n');
      if (newline == std::string::npos && !line_starting_) return;
      const std::size_t line = newline == std::string::npos ? 0 : newline + 1;
      std::string blank = text.substr(line);
      strip_end(blank);
      if (blank.empty()) text.resize(line);
    }
  }

  // Behind the end of a tag at `position` (which is behind its closing bytes).
  std::size_t after_end(std::size_t position, char sign, bool trims_newline) const {
    if (sign == '-') return skip_space(position);
    if (sign != '+' && trims_newline && position < source_.size() && source_[position] == '\n') return position + 1;
    return position;
  }

  void move_to(std::size_t position) {
    line_starting_ = position > 0 && source_[position - 1] == '\n';
    at_ = position;
  }

  // "raw" with nothing but white space around it up to the end of the tag; the position behind it, or npos.
  std::size_t raw_begin(std::size_t position) const {
    position = skip_space(position);
    if (!starts("raw", position)) return std::string::npos;
    position = skip_space(position + 3);
    if (starts("-%}", position)) return skip_space(position + 3);
    if (starts("%}", position)) return position + 2;
    return std::string::npos;
  }

  void data() {
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push(TokenKind::data, source_.substr(at_));
        at_ = source_.size();
        return;
      }
      const char c = source_[tag + 1];
      if (c == '{' || c == '%' || c == '#') break;
    }
    const char type = source_[tag + 1];
    const char sign =
        tag + 2 < source_.size() && (source_[tag + 2] == '-' || source_[tag + 2] == '+') ? source_[tag + 2] : ' ';
    const std::size_t inside = tag + (sign == ' ' ? 2 : 3);
    std::string text = source_.substr(at_, tag - at_);
    strip_before(text, sign, type == '{');
    if (!text.empty()) push(TokenKind::data, std::move(text));
    if (type == '#') return comment(tag, inside);
    if (type == '%') {
      const std::size_t raw_text = raw_begin(inside);
      if (raw_text != std::string::npos) return raw(tag, raw_text);
    }
    at_ = tag;
    push(type == '{' ? TokenKind::variable_begin : TokenKind::block_begin, "");
    at_ = inside;
    line_starting_ = false;
    tag_body(type == '{');
  }

  void comment(std::size_t tag, std::size_t inside) {
    const std::size_t end = source_.find("#}", inside);
    if (end == std::string::npos) fail_at(place(tag), "missing end of comment tag");
    const char sign = end > inside && (source_[end - 1] == '-' || source_[end - 1] == '+') ? source_[end - 1] : ' ';
    move_to(after_end(end + 2, sign, true));
  }

  void raw(std::size_t tag, std::size_t text_begin) {
    move_to(text_begin);
    for (std::size_t end = text_begin; (end = source_.find("{%", end)) != std::string::npos; ++end) {
      std::size_t position = end + 2;
      char sign = ' ';
      if (position < source_.size() && (source_[position] == '-' || source_[position] == '+'))
        sign = source_[position++];
      position = skip_space(position);
      if (!starts("endraw", position)) continue;
      position = skip_space(position + 6);
      char end_sign = ' ';
      if (starts("-%}", position) || starts("+%}", position)) end_sign = source_[position++];
      if (!starts("%}", position)) continue;
      std::string text = source_.substr(text_begin, end - text_begin);
      strip_before(text, sign, false);
      if (!text.empty()) push(TokenKind::data, std::move(text));
      return move_to(after_end(position + 2, end_sign, true));
    }
    if (text_begin < source_.size()) fail_at(place(tag), "missing end of raw directive");
  }

  void tag_body(bool is_variable) {
    std::vector<char> open;  // closing brackets waited for
    while (at_ < source_.size()) {
      const std::size_t next = skip_space(at_);
      if (next != at_) {
        at_ = next;
        continue;
      }
      if (open.empty() && tag_end(is_variable)) return;
      if (number() || name() || string() || operation(open)) continue;
      std::size_t behind = at_;
      next_code_point(source_, behind);
      fail_at(place(at_), fmt::format("unexpected char '{}'", source_.substr(at_, behind - at_)));
    }
  }

  bool tag_end(bool is_variable) {
    const std::string_view closing = is_variable ? "}}" : "%}";
    const char c = source_[at_];
    const bool has_sign = c == '-' || (c == '+' && !is_variable);
    const std::size_t position = at_ + (has_sign ? 1 : 0);
    if (!starts(closing, position)) return false;
    push(is_variable ? TokenKind::variable_end : TokenKind::block_end, "");
    move_to(after_end(position + 2, has_sign ? c : ' ', !is_variable));
    return true;
  }

  // Digits with single underscores between them.
  std::size_t digits(std::size_t position, int base) const {
    while (position < source_.size()) {
      if (is_digit_of(source_[position], base)) {
        ++position;
      } else if (source_[position] == '_' && position + 1 < source_.size() &&
                 is_digit_of(source_[position + 1], base) && position > 0 && is_digit_of(source_[position - 1], base)) {
        position += 2;
      } else {
        break;
      }
    }
    return position;
  }

  bool number() {
    if (!is_digit_of(source_[at_], 10)) return false;
    std::size_t end = at_;
    TokenKind kind = TokenKind::integer;
    const char mark = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    if (source_[at_] == '0' && base != 10) {
      std::size_t first = at_ + 2;
      if (first < source_.size() && source_[first] == '_') ++first;
      if (first < source_.size() && is_digit_of(source_[first], base)) {
        end = digits(first, base);
        push(TokenKind::integer, source_.substr(at_, end - at_));
        at_ = end;
        return true;
      }
    }
    end = digits(at_, 10);
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot) {
      std::size_t real = end;
      if (starts(".", end) && end + 1 < source_.size() && is_digit_of(source_[end + 1], 10)) real = digits(end + 1, 10);
      std::size_t exponent = real;
      if (exponent < source_.size() && (source_[exponent] | 0x20) == 'e') {
        ++exponent;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
        if (exponent < source_.size() && is_digit_of(source_[exponent], 10)) real = digits(exponent, 10);
      }
      if (real != end) kind = TokenKind::real;
      end = real;
    }
    if (kind == TokenKind::integer && source_[at_] == '0') {  // a leading zero stands for itself
      end = at_ + 1;
      while (end < source_.size() && (source_[end] == '0' || (source_[end] == '_' && starts("_0", end)))) ++end;
    }
    std::string text = source_.substr(at_, end - at_);
    if (kind == TokenKind::real) text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    push(kind, std::move(text));
    at_ = end;
    return true;
  }

  bool name() {
    std::size_t end = at_;
    while (end < source_.size()) {
      std::size_t next = end;
      if (!is_identifier_part(next_code_point(source_, next))) break;
      end = next;
    }
    if (end == at_) return false;
    push(TokenKind::name, source_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  bool string() {
    const char quote = source_[at_];
    if (quote != '"' && quote != '\'') return false;
    std::string text;
    std::size_t position = at_ + 1;
    while (position < source_.size() && source_[position] != quote) {
      if (source_[position] == '\\' && position + 1 < source_.size()) {
        escape(text, position);
      } else {
        text += source_[position++];
      }
    }
    if (position >= source_.size()) fail_at(place(at_), "unexpected char: the string is not closed");
    push(TokenKind::string, std::move(text));
    at_ = position + 1;
    return true;
  }

  char32_t hex(std::size_t position, std::size_t n) {
    char32_t value = 0;
    for (std::size_t i = position; i < position + n; ++i) {
      if (i >= source_.size() || !is_digit_of(source_[i], 16)) {
        fail_at(place(at_), fmt::format("truncated \\{} escape in a string", source_[position - 1]));
      }
      const char c = source_[i];
      value = value * 16 + static_cast<char32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
  }

  // A backslash of a string literal at `position`, as in Python.
  void escape(std::string& text, std::size_t& position) {
    const char c = source_[position + 1];
    constexpr std::string_view from = "abfnrtv\\'\"", to = "\a\b\f\n\r\t\v\\'\"";
    const std::size_t known = from.find(c);
    if (known != std::string_view::npos) {
      text += to[known];
      position += 2;
    } else if (c == '\n') {
      position += 2;
    } else if (c >= '0' && c <= '7') {
      char32_t value = 0;
      std::size_t end = position + 1;
      while (end < source_.size() && end < position + 4 && source_[end] >= '0' && source_[end] <= '7') {
        value = value * 8 + static_cast<char32_t>(source_[end++] - '0');
      }
      append_utf8(text, value);
      position = end;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      char32_t value = hex(position + 2, n);
      position += 2 + n;
      if (value >= 0xD800 && value < 0xDC00 && starts("\\u", position)) {
        const char32_t low = hex(position + 2, 4);
        if (low >= 0xDC00 && low < 0xE000) {
          value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
          position += 6;
        }
      }
      if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        fail_at(place(at_), "a \\u escape of a string is no character");
      }
      append_utf8(text, value);
    } else {
      text += '\\';
      ++position;
    }
  }

  bool operation(std::vector<char>& open) {
    for (const std::string_view op : operators) {
      if (!starts(op, at_)) continue;
      const char c = op.front();
      if (c == '(') open.push_back(')');
      if (c == '[') open.push_back(']');
      if (c == '{') open.push_back('}');
      if (c == ')' || c == ']' || c == '}') {
        if (open.empty()) fail_at(place(at_), fmt::format("unexpected '{}'", c));
        if (open.back() != c) fail_at(place(at_), fmt::format("unexpected '{}', expected '{}'", c, open.back()));
        open.pop_back();
      }
      push(TokenKind::op, std::string(op));
      at_ += op.size();
      return true;
    }
    return false;
  }

  const std::string& source_;
  std::size_t at_ = 0, counted_ = 0;
  Place place_;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::vector<Token> tokenize(const std::string& source) {
  return Lexer(source).run();
}

}  // namespace llm::chat
