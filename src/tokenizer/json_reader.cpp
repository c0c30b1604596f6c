#include "tokenizer/json_reader.h"

#include <charconv>
#include <system_error>

#include "base/utf8.h"

namespace llm::tokenizer::hf {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The four hexadecimal digits of a \u.
bool read_hex4(std::string_view text, std::size_t at, char32_t& out) {
  if (at + 4 > text.size()) return false;
  std::uint32_t value = 0;
  const auto result = std::from_chars(text.data() + at, text.data() + at + 4, value, 16);
  out = value;
  return result.ec == std::errc() && result.ptr == text.data() + at + 4;
}

}  // namespace

char JsonReader::peek() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonReader::take(char c) {
  if (peek() != c) return false;
  ++at_;
  return true;
}

bool JsonReader::string(std::string_view& out) {
  if (!take('"')) return false;
  const std::size_t begin = at_;
  bool escaped = false;
  for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
    if (static_cast<unsigned char>(text_[at_]) < 0x20) return false;
    if (text_[at_] == '\\') {
      escaped = true;
      ++at_;
    }
  }
  if (at_ >= text_.size()) return false;
  out = text_.substr(begin, at_ - begin);
  ++at_;
  if (!escaped) return true;
  std::string& text = unescaped_.emplace_back();
  if (!unescape(out, text)) return false;
  out = text;
  return true;
}

bool JsonReader::unescape(std::string_view raw, std::string& out) const {
  out.reserve(raw.size());
  for (std::size_t at = 0; at < raw.size(); ++at) {
    if (raw[at] != '\\') {
      out += raw[at];
      continue;
    }
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = raw[++at];
    if (const std::size_t i = kLetters.find(letter); i != std::string_view::npos) {
      out += kMeanings[i];
      continue;
    }
    char32_t c = 0;
    if (letter != 'u' || !read_hex4(raw, at + 1, c)) return false;
    at += 4;
    if (c >= 0xDC00 && c < 0xE000) return false;
    if (c >= 0xD800 && c < 0xDC00) {
      char32_t low = 0;
      if (raw.substr(at + 1, 2) != "\\u" || !read_hex4(raw, at + 3, low) || low < 0xDC00 || low >= 0xE000) return false;
      at += 6;
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(out, c);
  }
  return true;
}

// An empty text where no number stands.
std::string_view JsonReader::number_text(bool& is_integer) {
  peek();
  const std::size_t begin = at_;
  std::size_t at = at_;
  const auto next = [&] { return at < text_.size() ? text_[at] : '\0'; };
  const auto digits = [&] {
    if (!is_digit(next())) return false;
    while (is_digit(next())) ++at;
    return true;
  };
  is_integer = true;
  if (next() == '-') ++at;
  if (next() == '0') {
    ++at;
  } else if (!digits()) {
    return {};
  }
  if (next() == '.') {
    ++at;
    is_integer = false;
    if (!digits()) return {};
  }
  if (next() == 'e' || next() == 'E') {
    ++at;
    is_integer = false;
    if (next() == '+' || next() == '-') ++at;
    if (!digits()) return {};
  }
  at_ = at;
  return text_.substr(begin, at - begin);
}

bool JsonReader::integer(std::int64_t& out) {
  bool is_integer = false;
  const std::string_view text = number_text(is_integer);
  if (text.empty() || !is_integer) return false;
  return std::from_chars(text.data(), text.data() + text.size(), out).ec == std::errc();
}

bool JsonReader::number(double& out) {
  bool is_integer = false;
  const std::string_view text = number_text(is_integer);
  if (text.empty()) return false;
  return std::from_chars(text.data(), text.data() + text.size(), out).ec == std::errc();
}

bool JsonReader::skip(std::string_view& out) {
  if (peek() == '\0') return false;
  const std::size_t begin = at_;
  std::size_t depth = 0;
  do {
    const char c = peek();
    if (c == '"') {
      ++at_;
      while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
      if (at_ >= text_.size()) return false;
      ++at_;
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at_;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return false;
      --depth;
      ++at_;
    } else if (c == ',' || c == ':') {
      if (depth == 0) return false;
      ++at_;
    } else if (c == '\0') {
      return false;
    } else {
      constexpr std::string_view kEnds = " \n\r\t,:{}[]\"";
      while (at_ < text_.size() && kEnds.find(text_[at_]) == std::string_view::npos) ++at_;
    }
  } while (depth > 0);
  out = text_.substr(begin, at_ - begin);
  return true;
}

}  // namespace llm::tokenizer::hf
