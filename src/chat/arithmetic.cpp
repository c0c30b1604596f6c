#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "chat/big_integer.h"
#include "chat/interpreter.h"

namespace llm::chat {

namespace {

Integer floor_divide(Integer a, Integer b) {
  const Integer quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double floor_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  if ((b < 0) != (rest < 0)) rest += b;
  return rest;
}

double floor_divide(double a, double b) {
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value integer_power(const Value& a, const Value& b) {
  const Integer base = a.integer(), exponent = b.integer();
  if (base == 0 || base == 1) return Value(exponent == 0 ? Integer{1} : base);
  if (base == -1) return Value(exponent % 2 == 0 ? Integer{1} : Integer{-1});
  constexpr Integer most = 15'000;  // 2 to the power of it has more digits than integers may have
  if (exponent > most) fail("an integer has more than 4300 digits");
  return BigInteger(a).power(static_cast<std::uint64_t>(exponent)).value();
}

Value power(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral() && b.integer() >= 0) return integer_power(a, b);
  const double x = a.real(), y = b.real();
  if (x == 0 && y < 0) fail("0.0 cannot be raised to a negative power");
  if (x < 0 && y != std::floor(y)) fail("a negative number cannot be raised to a fractional power");
  const double result = std::pow(x, y);
  if (std::isinf(result) && std::isfinite(x) && std::isfinite(y)) fail("result too large");
  return Value(result);
}

Value big_numbers(std::string_view op, const Value& a, const Value& b) {
  const BigInteger x(a), y(b);
  if (op == "+") return (x + y).value();
  if (op == "-") return (x - y).value();
  if (op == "*") return (x * y).value();
  const BigInteger::Division division = x.divided_by(y);
  return (op == "//" ? division.quotient : division.remainder).value();
}

// Steps that an operation on integers of many digits counts for.
std::size_t cost_of(std::string_view op, const Value& a, const Value& b) {
  const auto limbs = [](const Value& v) { return v.is_big() ? v.big_digits().size() / 9 + 1 : std::size_t{4}; };
  if (op == "**" && a.is_integral() && b.is_integral()) return b.integer() > 64 ? 4'000 : 1;
  if (!a.is_big() && !b.is_big()) return 0;
  return limbs(a) * limbs(b) * (op == "//" || op == "%" ? 2 : 1) / 16 + limbs(a) + limbs(b);
}

Value numbers(std::string_view op, const Value& a, const Value& b) {
  if (op == "**") return power(a, b);
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && b.real() == 0) fail(op == "%" ? "integer modulo by zero" : "division by zero");
  if (a.is(Kind::real) || b.is(Kind::real) || op == "/") {
    const double x = a.real(), y = b.real();
    if (op == "+") return Value(x + y);
    if (op == "-") return Value(x - y);
    if (op == "*") return Value(x * y);
    if (op == "/") return Value(x / y);
    return Value(op == "//" ? floor_divide(x, y) : floor_modulo(x, y));
  }
  const Integer x = a.integer(), y = b.integer();
  Integer result = 0;
  bool too_large = a.is_big() || b.is_big();
  if (too_large) return big_numbers(op, a, b);
  if (op == "+") {
    too_large = __builtin_add_overflow(x, y, &result);
  } else if (op == "-") {
    too_large = __builtin_sub_overflow(x, y, &result);
  } else if (op == "*") {
    too_large = __builtin_mul_overflow(x, y, &result);
  } else if (op == "//") {
    result = floor_divide(x, y);
  } else {
    result = x - floor_divide(x, y) * y;
  }
  // The lowest number has no opposite, so it counts as too large.
  constexpr Integer lowest = -static_cast<Integer>(~UnsignedInteger{0} >> 1) - 1;
  return too_large || result == lowest ? big_numbers(op, a, b) : Value(result);
}

Value repeated(Heap& heap, const Value& sequence, const Value& count) {
  constexpr Integer most_times = std::numeric_limits<std::int64_t>::max();
  if (count.is(Kind::integer) && (count.integer() > most_times || count.integer() < -most_times - 1)) {
    fail("cannot fit 'int' into an index-sized integer");
  }
  const auto times = static_cast<std::size_t>(std::max<std::int64_t>(to_index(count, "repetition"), 0));
  Budget& budget = heap.budget();
  if (sequence.is_string()) {
    const Text& text = *sequence.text();
    TextBuilder out(budget);
    if (!text.bytes().empty()) {
      if (times > budget.limits().text_bytes / text.bytes().size()) {
        fail(fmt::format("a text is longer than {} MiB", budget.limits().text_bytes >> 20));
      }
      for (std::size_t i = 0; i < times; ++i) {
        budget.step();
        out.append(text);
      }
    }
    return Value(out.finish(), sequence.markup());
  }
  const Values& items = sequence.list().items;
  Values all;
  if (!items.empty()) {
    const std::size_t most = budget.limits().memory_bytes / sizeof(Value) / items.size();
    if (times > most) fail("a list is too long");
    budget.step(times * items.size());
    all.reserve(times * items.size());
    for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), items.begin(), items.end());
  }
  return sequence.is(Kind::list) ? heap.list(std::move(all), sequence.list().foreign)
                                 : heap.tuple(std::move(all), sequence.list().foreign);
}

Value joined(Heap& heap, const Value& a, const Value& b) {
  Budget& budget = heap.budget();
  if (a.is_string()) {
    const bool markup = a.markup() || b.markup();
    TextBuilder out(budget);
    out.append(markup && !a.markup() ? *escape_html(budget, *a.text()) : *a.text());
    out.append(markup && !b.markup() ? *escape_html(budget, *b.text()) : *b.text());
    return Value(out.finish(), markup);
  }
  Values items = a.list().items;
  budget.step(items.size() / 8 + b.list().items.size() / 8);
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  const bool foreign = a.list().foreign && b.list().foreign;
  return a.is(Kind::list) ? heap.list(std::move(items), foreign) : heap.tuple(std::move(items), foreign);
}

}  // namespace

Value arithmetic(Heap& heap, std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) fail_undefined(a);
  if (op == "%" && a.is_string()) return format_percent(heap, a, b);
  if (b.is_undefined()) fail_undefined(b);
  if (a.is_number() && b.is_number()) {
    heap.budget().step(cost_of(op, a, b));
    return numbers(op, a, b).from(a.foreign() || b.foreign());
  }
  if (op == "+" && a.kind() == b.kind() && (a.is_string() || a.is_sequence())) return joined(heap, a, b);
  if (op == "*") {
    if (b.is_integral() && (a.is_string() || a.is_sequence())) return repeated(heap, a, b);
    if (a.is_integral() && (b.is_string() || b.is_sequence())) return repeated(heap, b, a);
  }
  if (op == "+" && (a.is_string() || a.is_sequence())) {
    fail(fmt::format("can only concatenate {0} (not \"{1}\") to {0}", type_name(a), type_name(b)));
  }
  fail(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a), type_name(b)));
}

Value slice_value(Heap& heap, const Value& value, const Value& start, const Value& stop, const Value& step) {
  if (value.is_undefined()) fail_undefined(value);
  const std::int64_t stride = step.is_none() ? 1 : to_index(step, "slice step");
  if (stride == 0) fail("slice step cannot be zero");
  const bool is_range = value.is(Kind::object) && value.object()->kind == ObjectKind::range;
  if (!value.is_string() && !value.is_sequence() && !is_range) {
    fail(fmt::format("'{}' object is not subscriptable by a slice", type_name(value)));
  }
  const std::int64_t size = length_of(value);
  const auto bound = [&](const Value& given, std::int64_t fallback) {
    if (given.is_none()) return fallback;
    std::int64_t i = to_index(given, "slice index");
    if (i < 0) i += size;
    return stride > 0 ? std::clamp<std::int64_t>(i, 0, size) : std::clamp<std::int64_t>(i, -1, size - 1);
  };
  const std::int64_t first = bound(start, stride > 0 ? 0 : size - 1), last = bound(stop, stride > 0 ? size : -1);
  Budget& budget = heap.budget();
  if (value.is_string()) {
    const Text& text = *value.text();
    budget.scan(text.bytes().size());
    if (stride == 1) {
      const std::size_t begin = text.offset(static_cast<std::size_t>(first));
      const std::size_t end = last <= first ? begin : text.offset(static_cast<std::size_t>(last));
      return Value(slice(budget, value.text(), begin, end), value.markup());
    }
    std::vector<std::uint32_t> offsets;  // of code points, if they differ
    if (!text.ascii()) {
      for (TextReader reader(text); !reader.done(); reader.next()) {
        offsets.push_back(static_cast<std::uint32_t>(reader.offset()));
      }
      offsets.push_back(static_cast<std::uint32_t>(text.bytes().size()));
    }
    TextBuilder out(budget);
    for (std::int64_t i = first; stride > 0 ? i < last : i > last; i += stride) {
      const auto at = static_cast<std::size_t>(i);
      out.append(text, text.ascii() ? at : offsets[at], text.ascii() ? at + 1 : offsets[at + 1]);
    }
    return Value(out.finish(), value.markup());
  }
  if (is_range) {
    const auto& range = *static_cast<const Range*>(value.object());
    return heap.object<Range>(range.start + first * range.step, range.start + last * range.step, range.step * stride);
  }
  Values items;
  for (std::int64_t i = first; stride > 0 ? i < last : i > last; i += stride) {
    budget.step(items.size() % 8 == 0 ? 1 : 0);
    items.push_back(value.list().items[static_cast<std::size_t>(i)]);
  }
  if (value.is(Kind::tuple)) return heap.tuple(std::move(items), value.list().foreign);
  return heap.list(std::move(items), value.list().foreign);
}

}  // namespace llm::chat
