#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>

#include "chat/interpreter.h"

namespace llm::chat {

namespace {

class JsonWriter {
 public:
  JsonWriter(TextBuilder& out, Budget& budget, const JsonStyle& style) : out_(out), budget_(budget), style_(style) {}

  void write(const Value& value, int depth) {
    budget_.step();
    if (depth > nesting_limit) fail("values nest too deep for JSON");
    switch (value.kind()) {
      case Kind::none:
        return out_.append("null", value.foreign());
      case Kind::boolean:
        return out_.append(value.boolean() ? "true" : "false", value.foreign());
      case Kind::integer:
        return out_.append(format_integer(value), value.foreign());
      case Kind::real:
        return out_.append(real(value.real()), value.foreign());
      case Kind::string:
        return string(*value.text());
      case Kind::list:
      case Kind::tuple:
        return array(value.list(), depth);
      case Kind::dict:
        return object(value.dict(), depth);
      default:
        fail(fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

 private:
  static std::string real(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return format_real(value);
  }

  void string(const Text& text) {
    const bool foreign = text.any_foreign();
    out_.append("\"", foreign);
    std::size_t plain = 0;  // begin of the bytes that stay as they are
    for (TextReader reader(text); !reader.done();) {
      const bool origin = reader.foreign();
      const std::size_t begin = reader.offset();
      const char32_t c = reader.next();
      const std::string escaped = escape(c);
      if (escaped.empty()) continue;
      out_.append(text, plain, begin);
      out_.append(escaped, origin);
      plain = reader.offset();
    }
    out_.append(text, plain, text.bytes().size());
    out_.append("\"", foreign);
  }

  // Empty if the character stands for itself.
  std::string escape(char32_t c) const {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    if (c >= 0x20 && (c < 0x7F || !style_.ascii)) return {};
    if (c == 0x7F) return {};
    if (c < 0x10000) return fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    const auto rest = static_cast<unsigned>(c) - 0x10000;
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
  }

  void new_line(int depth, bool foreign) {
    if (!style_.has_indent) return;
    out_.append("\n", foreign);
    out_.repeat(style_.indent, static_cast<std::size_t>(depth), foreign);
  }

  void array(const List& list, int depth) {
    const bool foreign = list.foreign;
    out_.append("[", foreign);
    bool first = true;
    for (const Value& item : list.items) {
      if (!first) out_.append(style_.item_separator, foreign);
      first = false;
      new_line(depth + 1, foreign);
      write(item, depth + 1);
    }
    if (!first) new_line(depth, foreign);
    out_.append("]", foreign);
  }

  void key(const Value& value, bool foreign) {
    if (value.is_string()) return string(*value.text());
    out_.append("\"", foreign);
    if (!value.is_number() && !value.is_none()) {
      fail(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(value)));
    }
    write(value, 0);
    out_.append("\"", foreign);
  }

  void object(const Dict& dict, int depth) {
    const bool foreign = dict.foreign;
    std::vector<const Dict::Entry*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      budget_.step(entries.size() * 4);
      std::stable_sort(entries.begin(), entries.end(), [&](const Dict::Entry* a, const Dict::Entry* b) {
        return compare(budget_, a->first, b->first) < 0;
      });
    }
    out_.append("{", foreign);
    bool first = true;
    for (const Dict::Entry* entry : entries) {
      if (!first) out_.append(style_.item_separator, foreign);
      first = false;
      new_line(depth + 1, foreign);
      key(entry->first, foreign);
      out_.append(style_.key_separator, foreign);
      write(entry->second, depth + 1);
    }
    if (!first) new_line(depth, foreign);
    out_.append("}", foreign);
  }

  TextBuilder& out_;
  Budget& budget_;
  const JsonStyle& style_;
};

// Builds values from the events of the parser, which does not recurse.
class ValueReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit ValueReader(Heap& heap) : heap_(heap) {}

  bool null() override { return add(Value::none().from(true)); }
  bool boolean(bool value) override { return add(Value(value).from(true)); }
  bool number_integer(number_integer_t value) override { return add(Value(Integer{value}).from(true)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Value(Integer{value}).from(true)); }
  bool number_float(number_float_t value, const string_t& digits) override {
    Value integer;
    if (digits.find_first_of(".eE") == std::string::npos && parse_integer(digits, 10, integer)) {
      return add(Value(integer).from(true));
    }
    return add(Value(value).from(true));
  }
  bool string(string_t& value) override { return add(text(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(heap_.dict(true)); }
  bool start_array(std::size_t) override { return open(heap_.list({}, true)); }
  bool key(string_t& value) override {
    keys_.back() = text(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    message_ = error.what();
    position_ = position;
    return false;
  }

  Value result;
  std::string message_;
  std::size_t position_ = 0;

 private:
  Value text(const std::string& bytes) {
    TextBuilder builder(heap_.budget());
    builder.append(bytes, true);
    return Value(builder.finish());
  }

  bool add(Value value) {
    if (open_.empty()) {
      result = std::move(value);
    } else if (open_.back().is(Kind::list)) {
      heap_.append(open_.back().list(), std::move(value));
    } else {
      heap_.set(open_.back().dict(), keys_.back(), std::move(value));
    }
    return true;
  }
  bool open(const Value& container) {
    if (open_.size() >= nesting_limit / 2) fail(fmt::format("JSON nests deeper than {} levels", nesting_limit / 2));
    add(container);
    open_.push_back(container);
    keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  Heap& heap_;
  Values open_, keys_;
};

}  // namespace

TextPtr to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  TextBuilder out(budget);
  JsonWriter(out, budget, style).write(value, 0);
  return out.finish();
}

Value from_json(Heap& heap, std::string_view json, std::string_view what) {
  ValueReader reader(heap);
  try {
    if (nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) return reader.result;
  } catch (const Failure& failure) {
    throw Error(ErrorCode::usage, fmt::format("{}: {}", what, failure.message));
  }
  std::string reason = reader.message_;
  const std::size_t bracket = reason.find("] ");  // the library's own error number
  if (bracket != std::string::npos) reason.erase(0, bracket + 2);
  for (char& c : reason) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  throw Error(ErrorCode::usage, fmt::format("{}: not JSON: {}", what, reason));
}

}  // namespace llm::chat
