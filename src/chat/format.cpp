#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "chat/interpreter.h"
#include "chat/unicode.h"

namespace llm::chat {

namespace {

// The presentation of one value: Python's format specification, also what % uses.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  std::int64_t width = 0;
  char grouping = 0;
  std::int64_t precision = -1;
  char type = 0;
};

constexpr std::int64_t most_precision = 1000;  // of a float's precision

std::int64_t read_number(std::string_view text, std::size_t& at) {
  std::int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = std::min<std::int64_t>(value * 10 + (text[at] - '0'), std::int64_t{1} << 40);
  }
  return value;
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  std::size_t behind_first = 0;
  if (!text.empty()) next_code_point(text, behind_first);
  if (behind_first > 0 && behind_first < text.size() && is_align(text[behind_first])) {
    spec.fill = text.substr(0, behind_first);
    spec.align = text[behind_first];
    at = behind_first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    at = 1;
  }
  const auto take_if = [&](auto accepts) { return at < text.size() && accepts(text[at]) ? text[at++] : '\0'; };
  if (const char sign = take_if([](char c) { return c == '+' || c == '-' || c == ' '; })) spec.sign = sign;
  take_if([](char c) { return c == 'z'; });
  spec.alternate = take_if([](char c) { return c == '#'; }) != 0;
  if (at < text.size() && text[at] == '0') {
    ++at;
    if (spec.align == 0) {
      spec.fill.assign(1, '0');
      spec.align = '=';
    }
  }
  spec.width = read_number(text, at);
  spec.grouping = take_if([](char c) { return c == ',' || c == '_'; });
  if (take_if([](char c) { return c == '.'; }) != 0) {
    if (at >= text.size() || text[at] < '0' || text[at] > '9') fail("format specifier missing precision");
    spec.precision = read_number(text, at);
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) fail("invalid format specifier");
  return spec;
}

std::string grouped(std::string digits, char separator, std::size_t every) {
  std::size_t end = 0;
  while (end < digits.size() && digits[end] != '.' && digits[end] != 'e' && digits[end] != 'E' && digits[end] != '%')
    ++end;
  for (std::size_t at = end; at > every;) {
    at -= every;
    digits.insert(at, 1, separator);
  }
  return digits;
}

std::string real_digits(double value, const Spec& spec) {
  const bool upper = spec.type == 'F' || spec.type == 'E' || spec.type == 'G';
  if (std::isinf(value)) return upper ? "INF" : "inf";
  if (std::isnan(value)) return upper ? "NAN" : "nan";
  if (spec.precision > most_precision) fail(fmt::format("a precision is larger than {}", most_precision));
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  switch (spec.type) {
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", value, precision);
    case '%':
      return fmt::format("{:.{}f}%", value * 100, precision);
    case 'e':
      return fmt::format("{:.{}e}", value, precision);
    case 'E':
      return fmt::format("{:.{}E}", value, precision);
    case 'g':
      return spec.alternate ? fmt::format("{:#.{}g}", value, precision) : fmt::format("{:.{}g}", value, precision);
    case 'G':
      return fmt::format("{:.{}G}", value, precision);
    default: {
      if (spec.precision < 0) return format_real(value);
      // Like g, but with at least one digit behind the point, and scientific one digit earlier.
      std::string text = fmt::format("{:.{}g}", value, std::max(precision, 1));
      const std::size_t e = text.find('e');
      if (e == std::string::npos && text.find('.') == std::string::npos) {
        const auto digits = static_cast<int>(text.size());
        if (digits >= std::max(precision, 1)) return fmt::format("{:.{}e}", value, std::max(precision, 1) - 1);
        text += ".0";
      }
      return text;
    }
  }
}

// `prefix` is the sign and base mark.
void pad(TextBuilder& out, const Spec& spec, const std::string& prefix, const Text& body, bool foreign, char fallback) {
  const auto length = static_cast<std::int64_t>(prefix.size() + body.length());
  const std::int64_t missing = std::max<std::int64_t>(spec.width - length, 0);
  const char align = spec.align == 0 ? fallback : spec.align;
  const std::int64_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  out.repeat(spec.fill, static_cast<std::size_t>(left), false);
  out.append(prefix, foreign);
  if (align == '=') out.repeat(spec.fill, static_cast<std::size_t>(missing), false);
  out.append(body);
  if (align != '=') out.repeat(spec.fill, static_cast<std::size_t>(missing - left), false);
}

std::string sign_of(bool negative, const Spec& spec) {
  if (negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

void append_integer(TextBuilder& out, const Value& number, const Spec& spec, bool foreign) {
  const Integer value = number.integer();
  const bool negative = value < 0;
  std::string prefix = sign_of(negative, spec);
  if (spec.precision >= 0) fail("precision not allowed in integer format specifier");
  const char type = spec.type;
  if (type == 'c') {
    if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) fail("%c arg not in range(0x110000)");
    std::string character;
    append_utf8(character, static_cast<char32_t>(value));
    return pad(out, spec, "", Text(character, foreign), foreign, '<');
  }
  const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  if (number.is_big() && base != 10) fail("an integer of more than 127 bits is written in base 10 only");
  std::string digits = base == 10 ? format_integer(number) : format_integer(value, base);
  if (negative) digits.erase(0, 1);
  if (type == 'X')
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  if (spec.alternate && base != 10) prefix += std::string("0") + type;
  if (spec.grouping != 0) digits = grouped(std::move(digits), spec.grouping, base == 10 ? 3 : 4);
  pad(out, spec, prefix, Text(digits, foreign), foreign, '>');
}

void append_real(TextBuilder& out, double value, const Spec& spec, bool foreign) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  std::string digits = real_digits(std::abs(value), spec);
  if (spec.grouping != 0) digits = grouped(std::move(digits), spec.grouping, 3);
  pad(out, spec, sign_of(negative, spec), Text(digits, foreign), foreign, '>');
}

void append_formatted(TextBuilder& out, Budget& budget, const Value& value, const Spec& spec, bool plain) {
  if (plain) return append_text(out, budget, value);
  const bool as_real = spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  const bool as_integer = spec.type != 0 && std::string_view("bcdoxXn").find(spec.type) != std::string_view::npos;
  if (value.is(Kind::real) || (value.is_integral() && as_real)) {
    if (as_integer) fail(fmt::format("unknown format code '{}' for object of type 'float'", spec.type));
    return append_real(out, value.real(), spec, value.foreign());
  }
  if (value.is(Kind::integer) || (value.is(Kind::boolean) && as_integer)) {
    if (spec.type != 0 && !as_integer)
      fail(fmt::format("unknown format code '{}' for object of type 'int'", spec.type));
    return append_integer(out, value, spec, value.foreign());
  }
  if (!value.is_string() && !value.is(Kind::boolean)) {
    fail(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  }
  if (spec.type != 0 && spec.type != 's') {
    fail(fmt::format("unknown format code '{}' for object of type '{}'", spec.type, type_name(value)));
  }
  if (spec.align == '=' && spec.fill != "0") fail("'=' alignment not allowed in string format specifier");
  TextPtr text = to_text(budget, value);
  if (spec.precision >= 0 && spec.precision < static_cast<std::int64_t>(text->length())) {
    text = slice(budget, text, 0, text->offset(static_cast<std::size_t>(spec.precision)));
  }
  Spec left = spec;
  if (left.align == '=') left.align = '<';
  pad(out, left, "", *text, false, '<');
}

// What {} of str.format names: positions, keywords, attributes and items of them.
class Fields {
 public:
  Fields(Interpreter& interpreter, const Call& call) : interpreter_(interpreter), call_(call) {}

  Value look_up(std::string_view field) {
    const std::size_t end = std::min(field.find('.'), field.find('['));
    Value value = first(field.substr(0, end));
    for (std::size_t at = std::min(end, field.size()); at < field.size();) {
      interpreter_.budget().step();
      if (field[at] == '.') {
        const std::size_t stop = std::min(field.find_first_of(".[", at + 1), field.size());
        value = interpreter_.attribute(value, field.substr(at + 1, stop - at - 1));
        at = stop;
      } else if (field[at] == '[') {
        const std::size_t stop = field.find(']', at);
        if (stop == std::string_view::npos) fail("expected ']' in a format field");
        const std::string_view key = field.substr(at + 1, stop - at - 1);
        Integer number = 0;
        const bool numeric =
            !key.empty() && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
        value = numeric && parse_integer(key, 10, number) ? interpreter_.item(value, Value(number))
                                                          : interpreter_.item(value, interpreter_.text_value(key));
        at = stop + 1;
      } else {
        fail("only '.' or '[' may follow ']' in a format field");
      }
    }
    return value;
  }

 private:
  Value first(std::string_view name) {
    Integer number = 0;
    if (name.empty()) {
      number = next_++;
    } else if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      for (const auto& [key, value] : call_.named) {
        if (key == name) return value;
      }
      fail(fmt::format("format: no argument named '{}'", name.substr(0, 100)));
    } else {
      parse_integer(name, 10, number);
    }
    if (number >= static_cast<Integer>(call_.positional.size()))
      fail("replacement index out of range for positional args");
    return call_.positional[static_cast<std::size_t>(number)];
  }

  Interpreter& interpreter_;
  const Call& call_;
  Integer next_ = 0;
};

Value converted(Interpreter& interpreter, const Value& value, char conversion) {
  if (conversion == 's') return Value(interpreter.text_of(value));
  if (conversion != 'r' && conversion != 'a') fail("unknown conversion specifier in a format field");
  TextBuilder out(interpreter.budget());
  append_repr(out, interpreter.budget(), value);
  return Value(out.finish());
}

// One {...}: `field` is what stands between the braces.
void append_field(TextBuilder& out, Interpreter& interpreter, Fields& fields, std::string_view field) {
  std::size_t colon = 0;
  int brackets = 0;
  for (; colon < field.size(); ++colon) {
    brackets += field[colon] == '[' ? 1 : field[colon] == ']' ? -1 : 0;
    if (brackets <= 0 && (field[colon] == ':' || field[colon] == '!')) break;
  }
  Value value = fields.look_up(field.substr(0, colon));
  if (colon < field.size() && field[colon] == '!') {
    if (colon + 1 >= field.size()) fail("end of string while looking for conversion specifier");
    value = converted(interpreter, value, field[colon + 1]);
    colon += 2;
    if (colon < field.size() && field[colon] != ':') fail("expected ':' after conversion specifier");
  }
  std::string spec(colon < field.size() ? field.substr(colon + 1) : std::string_view());
  for (std::size_t open; (open = spec.find('{')) != std::string::npos;) {
    const std::size_t close = spec.find('}', open);
    if (close == std::string::npos) fail("expected '}' before end of string");
    const TextPtr inner = interpreter.text_of(fields.look_up(spec.substr(open + 1, close - open - 1)));
    if (inner->bytes().size() > 64 || inner->bytes().find('{') != std::string::npos) fail("invalid format specifier");
    spec.replace(open, close - open + 1, inner->bytes());
  }
  append_formatted(out, interpreter.budget(), value, parse_spec(spec), spec.empty());
}

// The arguments of %: a tuple, a mapping or one value.
class PercentArguments {
 public:
  explicit PercentArguments(const Value& arguments) : arguments_(arguments) {}

  const Value& next() {
    if (arguments_.is(Kind::tuple)) {
      if (used_ >= arguments_.list().items.size()) fail("not enough arguments for format string");
      return arguments_.list().items[used_++];
    }
    if (used_++ > 0) fail("not enough arguments for format string");
    return arguments_;
  }
  const Value& named(std::string_view name) {
    if (!arguments_.is(Kind::dict)) fail("format requires a mapping");
    const Value* value = arguments_.dict().find(name);
    if (value == nullptr) fail(fmt::format("format: no key '{}'", name.substr(0, 100)));
    used_ = 1;
    return *value;
  }
  void check() const {
    const bool all =
        arguments_.is(Kind::tuple) ? used_ == arguments_.list().items.size() : used_ > 0 || may_be_mapping();
    if (!all) fail("not all arguments converted during string formatting");
  }

 private:
  // What can be subscripted may hold more than the format asks for.
  bool may_be_mapping() const {
    const bool is_range = arguments_.is(Kind::object) && arguments_.object()->kind == ObjectKind::range;
    return arguments_.is(Kind::dict) || arguments_.is(Kind::list) || arguments_.is_undefined() || is_range;
  }

  const Value& arguments_;
  std::size_t used_ = 0;
};

void append_percent_number(TextBuilder& out, const Value& value, Spec spec) {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_number())
    fail(fmt::format("%{} format: a real number is required, not {}", spec.type, type_name(value)));
  if (std::string_view("eEfFgG").find(spec.type) != std::string_view::npos) {
    return append_real(out, value.real(), spec, value.foreign());
  }
  Value whole = value;
  if (!value.is_integral()) {
    if (!(std::abs(value.real()) < 1e37)) fail("cannot convert the float to an integer");
    if (spec.type != 'd' && spec.type != 'i' && spec.type != 'u') {
      fail(fmt::format("%{} format: an integer is required, not float", spec.type));
    }
    whole = Value(static_cast<Integer>(value.real()));
  }
  const Integer number = whole.integer();
  if (spec.precision >= 0) {  // least number of digits
    const std::string digits = format_integer(number < 0 ? -number : number, spec.type == 'x' || spec.type == 'X' ? 16
                                                                             : spec.type == 'o'                   ? 8
                                                                                                                  : 10);
    const std::int64_t zeros = std::min(spec.precision, most_precision) - static_cast<std::int64_t>(digits.size());
    const std::string body = std::string(static_cast<std::size_t>(std::max<std::int64_t>(zeros, 0)), '0') + digits;
    return pad(out, spec, sign_of(number < 0, spec), Text(body, value.foreign()), value.foreign(), '>');
  }
  if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
  append_integer(out, whole, spec, value.foreign());
}

void append_percent(TextBuilder& out, Budget& budget, const Value& value, Spec spec) {
  switch (spec.type) {
    case 's':
    case 'r':
    case 'a': {
      TextBuilder text(budget);
      if (spec.type == 's') {
        append_text(text, budget, value);
      } else {
        append_repr(text, budget, value);
      }
      TextPtr body = text.finish();
      if (spec.precision >= 0 && spec.precision < static_cast<std::int64_t>(body->length())) {
        body = slice(budget, body, 0, body->offset(static_cast<std::size_t>(spec.precision)));
      }
      if (spec.align == '=') {
        spec.align = '>';
        spec.fill.assign(1, ' ');
      }
      return pad(out, spec, "", *body, false, '>');
    }
    case 'c':
      if (value.is_string()) {
        if (value.text()->length() != 1) fail("%c requires int or char");
        return pad(out, spec, "", *value.text(), false, '>');
      }
      [[fallthrough]];
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return append_percent_number(out, value, spec);
    default:
      fail("unsupported format character in a % format");
  }
}

}  // namespace

Value format_percent(Heap& heap, const Value& format, const Value& arguments) {
  Budget& budget = heap.budget();
  const Text& pattern = *format.text();
  const std::string_view bytes = pattern.bytes();
  TextBuilder out(budget);
  PercentArguments values(arguments);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t mark = std::min(bytes.find('%', at), bytes.size());
    out.append(pattern, at, mark);
    if (mark == bytes.size()) break;
    budget.step();
    at = mark + 1;
    const Value* given = nullptr;
    if (at < bytes.size() && bytes[at] == '(') {
      const std::size_t close = bytes.find(')', at);
      if (close == std::string_view::npos) fail("incomplete format key");
      given = &values.named(bytes.substr(at + 1, close - at - 1));
      at = close + 1;
    }
    Spec spec;
    for (; at < bytes.size(); ++at) {
      if (bytes[at] == '-') {
        spec.align = '<';
      } else if (bytes[at] == '+') {
        spec.sign = '+';
      } else if (bytes[at] == ' ') {
        if (spec.sign == '-') spec.sign = ' ';
      } else if (bytes[at] == '#') {
        spec.alternate = true;
      } else if (bytes[at] == '0') {
        if (spec.align == 0) {
          spec.align = '=';
          spec.fill.assign(1, '0');
        }
      } else {
        break;
      }
    }
    if (spec.align == '<') spec.fill.assign(1, ' ');
    const auto number = [&](std::int64_t& target) {
      if (at < bytes.size() && bytes[at] == '*') {
        target = to_index(values.next(), "* wants an integer");
        ++at;
      } else {
        target = read_number(bytes, at);
      }
    };
    number(spec.width);
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (at < bytes.size() && bytes[at] == '.') {
      ++at;
      number(spec.precision);
    }
    while (at < bytes.size() && (bytes[at] == 'l' || bytes[at] == 'h' || bytes[at] == 'L')) ++at;
    if (at >= bytes.size()) fail("incomplete format");
    spec.type = bytes[at++];
    if (spec.type == '%') {
      out.append("%", false);
      continue;
    }
    append_percent(out, budget, given != nullptr ? *given : values.next(), spec);
  }
  values.check();
  return Value(out.finish(), format.markup());
}

Value format_braces(Interpreter& interpreter, const Value& format, const Call& arguments) {
  const Text& pattern = *format.text();
  const std::string_view bytes = pattern.bytes();
  TextBuilder out(interpreter.budget());
  Fields fields(interpreter, arguments);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.append(pattern, at, brace);
    if (brace == bytes.size()) break;
    interpreter.budget().step();
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out.append(pattern, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    if (bytes[brace] == '}') fail("single '}' encountered in format string");
    std::size_t close = brace + 1;
    for (int depth = 1; close < bytes.size(); ++close) {
      depth += bytes[close] == '{' ? 1 : bytes[close] == '}' ? -1 : 0;
      if (depth == 0) break;
      if (depth > 2) fail("max string recursion exceeded");
    }
    if (close >= bytes.size()) fail("expected '}' before end of string");
    append_field(out, interpreter, fields, bytes.substr(brace + 1, close - brace - 1));
    at = close + 1;
  }
  return Value(out.finish(), format.markup());
}

}  // namespace llm::chat
