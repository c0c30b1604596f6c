#include "chat/python_literals.h"

#include <algorithm>

#include "chat/unicode.h"

namespace llm::chat {

namespace {

using nlohmann::ordered_json;

constexpr int max_depth = 100;

bool is_name_part(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Functions give false where the text is no literal; `at` is then anywhere.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool value(ordered_json& out, int depth = 0) {
    skip_space();
    if (at_ == text_.size() || depth > max_depth) return false;
    const char c = text_[at_];
    if (c == '\'' || c == '"') return string(out);
    if (c == '[') return list(out, ']', depth);
    if (c == '(') return list(out, ')', depth);
    if (c == '{') return dict(out, depth);
    return word(out);
  }

  bool call(PythonCall& out) {
    skip_space();
    std::size_t end = at_;
    while (end < text_.size() && (is_name_part(text_[end]) || text_[end] == '.')) ++end;
    out.first = text_.substr(at_, end - at_);
    at_ = end;
    if (out.first.empty() || !take('(')) return false;
    out.second = ordered_json::object();
    while (!take(')')) {
      if (!out.second.empty() && !take(',')) return false;
      skip_space();
      const std::size_t begin = at_;
      while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
      const std::string key(text_.substr(begin, at_ - begin));
      ordered_json argument;
      if (key.empty() || !take('=') || !value(argument)) return false;
      out.second[key] = std::move(argument);
    }
    return true;
  }

  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool done() {
    skip_space();
    return at_ == text_.size();
  }

 private:
  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool list(ordered_json& out, char close, int depth) {
    out = ordered_json::array();
    ++at_;
    while (!take(close)) {
      if (!out.empty() && !take(',')) return false;
      if (take(close)) return true;  // after a last comma
      ordered_json item;
      if (!value(item, depth + 1)) return false;
      out.push_back(std::move(item));
    }
    return true;
  }

  bool dict(ordered_json& out, int depth) {
    out = ordered_json::object();
    ++at_;
    while (!take('}')) {
      if (!out.empty() && !take(',')) return false;
      if (take('}')) return true;
      ordered_json key, item;
      if (!value(key, depth + 1) || !take(':') || !value(item, depth + 1)) return false;
      out[key.is_string() ? key.get<std::string>() : key.dump()] = std::move(item);
    }
    return true;
  }

  bool string(ordered_json& out) {
    const char quote = text_[at_++];
    std::string read;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] != '\\') {
        read += text_[at_++];
      } else if (!escape(read)) {
        return false;
      }
    }
    if (at_ == text_.size()) return false;
    ++at_;
    out = std::move(read);
    return true;
  }

  bool hex(std::size_t n, char32_t& out) {
    out = 0;
    for (std::size_t i = 0; i < n; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : ' ';
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        out = out * 16 + static_cast<char32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        out = out * 16 + static_cast<char32_t>(lower - 'a' + 10);
      } else {
        return false;
      }
    }
    return true;
  }

  bool escape(std::string& read) {
    if (++at_ == text_.size()) return false;
    const char c = text_[at_++];
    constexpr std::string_view from = "nrtbf0\\'\"/\n", to{"\n\r\t\b\f\0\\'\"/", 10};
    const std::size_t known = from.find(c);
    if (known != std::string_view::npos) {
      if (known < to.size()) read += to[known];  // a backslash before a line's end joins the lines
      return true;
    }
    if (c != 'x' && c != 'u' && c != 'U') {
      read += {'\\', c};
      return true;
    }
    char32_t code = 0;
    if (!hex(c == 'x' ? 2 : c == 'u' ? 4 : 8, code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      char32_t low = 0;
      if (!hex(4, low) || low < 0xDC00 || low > 0xDFFF) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    append_utf8(read, code);
    return true;
  }

  bool word(ordered_json& out) {
    const std::size_t end = std::min(text_.find_first_of(" \t\r\n,:=()[]{}'\"", at_), text_.size());
    const std::string_view read = text_.substr(at_, end - at_);
    at_ = end;
    if (read == "True" || read == "true") {
      out = true;
    } else if (read == "False" || read == "false") {
      out = false;
    } else if (read == "None" || read == "null") {
      out = nullptr;
    } else {
      out = ordered_json::parse(read.begin(), read.end(), nullptr, false);
      return out.is_number();
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<ordered_json> parse_python(std::string_view text) {
  Reader reader(text);
  ordered_json value;
  if (!reader.value(value) || !reader.done()) return std::nullopt;
  return value;
}

std::optional<std::vector<PythonCall>> parse_python_calls(std::string_view text) {
  Reader reader(text);
  std::vector<PythonCall> calls;
  const bool is_list = reader.take('[');
  do {
    PythonCall call;
    if (!reader.call(call)) return std::nullopt;
    calls.push_back(std::move(call));
  } while (is_list && reader.take(','));
  if ((is_list && !reader.take(']')) || !reader.done()) return std::nullopt;
  return calls;
}

}  // namespace llm::chat
