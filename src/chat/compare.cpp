#include <algorithm>

#include <fmt/format.h>

#include "chat/big_integer.h"
#include "chat/text_search.h"
#include "chat/value.h"

namespace llm::chat {

namespace {

bool equal_at(Budget& budget, const Value& a, const Value& b, int depth) {
  budget.step();
  if (depth > nesting_limit) fail("values nest too deep to be compared");
  if (a.is_number() && b.is_number()) {
    if (a.is(Kind::real) || b.is(Kind::real)) return a.real() == b.real();
    return a.integer() == b.integer() && a.is_big() == b.is_big() && (!a.is_big() || a.big_digits() == b.big_digits());
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      budget.scan(std::min(a.bytes().size(), b.bytes().size()));
      return a.bytes() == b.bytes();
    case Kind::list:
    case Kind::tuple: {
      const Values &x = a.list().items, &y = b.list().items;
      if (&x == &y) return true;
      if (x.size() != y.size()) return false;
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (!equal_at(budget, x[i], y[i], depth + 1)) return false;
      }
      return true;
    }
    case Kind::dict: {
      const Dict &x = a.dict(), &y = b.dict();
      if (&x == &y) return true;
      if (x.size() != y.size()) return false;
      for (const auto& [key, value] : x.entries()) {
        const Value* other = y.find(key);
        if (other == nullptr || !equal_at(budget, value, *other, depth + 1)) return false;
      }
      return true;
    }
    default: {
      if (a.object() == b.object()) return true;
      if (a.object()->kind != ObjectKind::range || b.object()->kind != ObjectKind::range) return false;
      const auto &x = *static_cast<const Range*>(a.object()), &y = *static_cast<const Range*>(b.object());
      return x.size == y.size && (x.size == 0 || (x.start == y.start && (x.size == 1 || x.step == y.step)));
    }
  }
}

int compare_at(Budget& budget, const Value& a, const Value& b, std::string_view op, int depth) {
  budget.step();
  if (depth > nesting_limit) fail("values nest too deep to be compared");
  if (a.is_undefined()) fail_undefined(a);
  if (b.is_undefined()) fail_undefined(b);
  if (a.is_number() && b.is_number()) {
    if (a.is(Kind::real) || b.is(Kind::real)) {
      const double x = a.real(), y = b.real();
      if (x != x || y != y) return 2;  // not a number: no order holds
      return x < y ? -1 : x > y ? 1 : 0;
    }
    if (a.is_big() || b.is_big()) return compare(BigInteger(a), BigInteger(b));
    return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
  }
  if (a.is_string() && b.is_string()) {
    budget.scan(std::min(a.bytes().size(), b.bytes().size()));
    const int order = a.bytes().compare(b.bytes());  // of UTF-8 the order of code points
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const Values &x = a.list().items, &y = b.list().items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal_at(budget, x[i], y[i], depth + 1)) return compare_at(budget, x[i], y[i], op, depth + 1);
    }
    return x.size() < y.size() ? -1 : x.size() > y.size() ? 1 : 0;
  }
  fail(fmt::format("'{}' not supported between instances of '{}' and '{}'", op, type_name(a), type_name(b)));
}

}  // namespace

bool equal(Budget& budget, const Value& a, const Value& b) {
  return equal_at(budget, a, b, 0);
}

int compare(Budget& budget, const Value& a, const Value& b, std::string_view op) {
  return compare_at(budget, a, b, op, 0);
}

void need_hashable(const Value& value) {
  const bool is_set = value.is(Kind::object) && value.object()->kind == ObjectKind::view &&
                      static_cast<const View*>(value.object())->part != 'v';
  if (value.is(Kind::list) || value.is(Kind::dict) || is_set)
    fail(fmt::format("unhashable type: '{}'", type_name(value)));
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  Budget& budget = heap.budget();
  if (container.is_string()) {
    if (item.is_undefined()) fail_undefined(item);
    if (!item.is_string()) {
      fail(fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    }
    budget.scan(container.bytes().size());
    return find_bytes(container.bytes(), item.bytes(), 0) != std::string::npos;
  }
  if (container.is(Kind::dict)) {
    need_hashable(item);
    budget.step();
    return container.dict().find(item) != nullptr;
  }
  if (container.is_undefined()) return false;
  if (!is_iterable(container)) fail(fmt::format("argument of type '{}' is not iterable", type_name(container)));
  for (const Value& other : container.is_sequence() ? container.list().items : iterate(heap, container)) {
    if (equal(budget, other, item)) return true;
  }
  return false;
}

}  // namespace llm::chat
