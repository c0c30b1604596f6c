#include "chat/filters.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "chat/big_integer.h"
#include "chat/interpreter.h"

namespace llm::chat {

namespace {

Value absolute(Interpreter&, const Value& input, const Call& call) {
  call.check("abs", {});
  if (input.is_undefined()) fail_undefined(input);
  if (input.is(Kind::real)) return Value(std::abs(input.real())).from(input.foreign());
  if (!input.is_integral()) fail(fmt::format("bad operand type for abs(): '{}'", type_name(input)));
  if (input.is_big()) return Value::big(input.big_digits().substr(input.integer() < 0 ? 1 : 0)).from(input.foreign());
  return Value(input.integer() < 0 ? -input.integer() : input.integer()).from(input.foreign());
}

Value to_integer(Interpreter&, const Value& input, const Call& call) {
  call.check("int", {"default", "base"});
  if (input.is_undefined()) fail_undefined(input);
  const bool foreign = input.is_string() ? input.text()->any_foreign() : input.foreign();
  if (input.is_big()) return input;
  if (input.is_integral()) return Value(input.integer()).from(foreign);
  double real = std::nan("");
  if (input.is_string()) {
    const std::int64_t base = to_index(call.get(1, "base", Value(Integer{10})), "int");
    Value value;
    if (base >= 0 && parse_integer(input.bytes(), static_cast<unsigned>(std::min<std::int64_t>(base, 99)), value)) {
      return std::move(value).from(foreign);
    }
    parse_real(input.bytes(), real);
  } else if (input.is(Kind::real)) {
    real = input.real();
  }
  if (std::isfinite(real)) return BigInteger::from_real(real).value().from(foreign);
  return call.get(0, "default", Value(Integer{0}));
}

Value to_real(Interpreter&, const Value& input, const Call& call) {
  call.check("float", {"default"});
  if (input.is_undefined()) fail_undefined(input);
  double real = 0;
  if (input.is_number()) return Value(input.real()).from(input.foreign());
  if (input.is_string() && parse_real(input.bytes(), real)) return Value(real).from(input.text()->any_foreign());
  return call.get(0, "default", Value(0.0));
}

// Rounds as Python does: to the nearest, ties of the exact value to even.
double rounded(double value, std::int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision >= 0) {
    double result = value;
    parse_real(fmt::format("{:.{}f}", value, static_cast<int>(precision)), result);
    return result;
  }
  if (precision < -308) return 0.0;
  const double scale = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / scale) * scale;
}

// An integer to the nearest multiple of a power of ten, ties to the even one.
Value rounded_integer(const Value& value, std::int64_t precision) {
  if (precision < -4000) return Value(Integer{0});
  const BigInteger unit = BigInteger(Integer{10}).power(static_cast<std::uint64_t>(-precision));
  const BigInteger::Division division = BigInteger(value).divided_by(unit);
  const int half = compare(division.remainder + division.remainder, unit);
  const bool odd = !division.quotient.divided_by(BigInteger(Integer{2})).remainder.is_zero();
  const BigInteger up(Integer{half > 0 || (half == 0 && odd) ? 1 : 0});
  return ((division.quotient + up) * unit).value();
}

Value round(Interpreter&, const Value& input, const Call& call) {
  call.check("round", {"precision", "method"});
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_number()) fail(fmt::format("type {} doesn't define __round__ method", type_name(input)));
  const std::int64_t precision = to_index(call.get(0, "precision", Value(Integer{0})), "round");
  const Value method = call.get(1, "method", Value::literal("common"));
  const std::string name = method.is_string() ? method.bytes() : "";
  if (name == "common") {
    if (input.is_integral() && precision >= 0)
      return input.is_big() ? input : Value(input.integer()).from(input.foreign());
    if (input.is_integral()) return rounded_integer(input, precision).from(input.foreign());
    const double value = rounded(input.real(), precision);
    return Value(value).from(input.foreign());
  }
  if (name != "ceil" && name != "floor") fail("method must be common, ceil or floor");
  if (std::abs(precision) > 300) fail("round: the precision is too large");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.real() * scale;
  return Value((name == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale).from(input.foreign());
}

Value file_size(Interpreter& in, const Value& input, const Call& call) {
  call.check("filesizeformat", {"binary"});
  double parsed = 0;
  if (!input.is_number() && !(input.is_string() && parse_real(input.bytes(), parsed))) {
    fail(fmt::format("filesizeformat: expected a number, found '{}'", type_name(input)));
  }
  const Value number = to_real(in, input, Call());
  const double bytes = number.real();
  const bool binary = truth(call.get(0, "binary", Value(false)));
  const double base = binary ? 1024 : 1000;
  constexpr const char* units[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
  constexpr const char* binary_units[] = {"Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
  if (bytes == 1) return in.text_value("1 Byte", number.foreign());
  if (bytes < base)
    return in.text_value(fmt::format("{} Bytes", format_integer(static_cast<Integer>(bytes))), number.foreign());
  double unit = base;
  int i = 0;
  while (i < 7 && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  return in.text_value(fmt::format("{:.1f} {}B", bytes / unit, binary ? binary_units[i] : units[i]), number.foreign());
}

Value default_value(Interpreter&, const Value& input, const Call& call) {
  call.check("default", {"default_value", "boolean"});
  const bool also_false = truth(call.get(1, "boolean", Value(false)));
  if (input.is_undefined() || (also_false && !truth(input))) return call.get(0, "default_value", Value::literal(""));
  return input;
}

Value attribute_filter(Interpreter& in, const Value& input, const Call& call) {
  call.check("attr", {"name"});
  const std::string name = in.text_of(call.need(0, "name"))->bytes();
  if (input.is_undefined()) fail_undefined(input);
  const bool forbidden = (input.is(Kind::list) || input.is(Kind::dict)) && changes_containers(name);
  if (forbidden)
    return Value::undefined(fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(input)));
  if (input.is(Kind::dict) && find_method(input, name) == nullptr) {
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return in.attribute(input, name);
}

Value length(Interpreter&, const Value& input, const Call& call) {
  call.check("length", {});
  const std::int64_t n = length_of(input);
  if (n < 0) fail(fmt::format("object of type '{}' has no len()", type_name(input)));
  return Value(Integer{n});
}

Value string(Interpreter& in, const Value& input, const Call& call) {
  call.check("string", {});
  return input.is_string() ? input : Value(in.text_of(input));
}

Value to_json_filter(Interpreter& in, const Value& input, const Call& call) {
  call.check("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = truth(call.get(0, "ensure_ascii", Value(false)));
  style.sort_keys = truth(call.get(3, "sort_keys", Value(false)));
  const Value indent = call.get(1, "indent", Value::none());
  if (!indent.is_none()) {
    style.has_indent = true;
    style.item_separator.assign(1, ',');
    if (indent.is_string()) {
      style.indent = indent.bytes();
    } else {
      const std::int64_t width = std::max<std::int64_t>(to_index(indent, "tojson: indent"), 0);
      if (width > 1000) fail("tojson: the indent is larger than 1000");
      style.indent.assign(static_cast<std::size_t>(width), ' ');
    }
  }
  const Value separators = call.get(2, "separators", Value::none());
  if (!separators.is_none()) {
    const Values both = iterate(in.heap(), separators);
    if (both.size() != 2 || !both[0].is_string() || !both[1].is_string()) fail("tojson: expected two separators");
    style.item_separator = both[0].bytes();
    style.key_separator = both[1].bytes();
  }
  return Value(to_json(in.budget(), input, style));
}

Value pretty(Interpreter& in, const Value& input, const Call& call) {
  call.check("pprint", {});
  TextBuilder out(in.budget());
  append_repr(out, in.budget(), input);
  return Value(out.finish());
}

Value unsupported(Interpreter&, const Value&, const Call&) {
  fail("the filter urlize is not supported");
}

}  // namespace

Filter find_number_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> filters[] = {
      {"abs", absolute},          {"attr", attribute_filter}, {"count", length},
      {"d", default_value},       {"default", default_value}, {"filesizeformat", file_size},
      {"float", to_real},         {"int", to_integer},        {"length", length},
      {"pprint", pretty},         {"round", round},           {"string", string},
      {"tojson", to_json_filter}, {"urlize", unsupported},
  };
  for (const auto& [known, filter] : filters) {
    if (known == name) return filter;
  }
  return nullptr;
}

Filter find_filter(std::string_view name) {
  if (const Filter filter = find_number_filter(name)) return filter;
  if (const Filter filter = find_text_filter(name)) return filter;
  return find_sequence_filter(name);
}

}  // namespace llm::chat
