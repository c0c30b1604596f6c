#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "chat/interpreter.h"

namespace llm::chat {

namespace {

// dict

Value dict_get(Interpreter&, const Value& self, const Call& call) {
  if (!call.named.empty()) fail("dict.get() takes no keyword arguments");
  call.check("get", {"key", "default"});
  const Value& key = call.need(0, "key");
  if (key.is(Kind::list) || key.is(Kind::dict)) fail(fmt::format("unhashable type: '{}'", type_name(key)));
  const Value* value = self.dict().find(key);
  return value != nullptr ? *value : call.get(1, "default", Value::none());
}

template <char part>
Value dict_view(Interpreter& in, const Value& self, const Call& call) {
  call.check("dict method", {});
  return in.heap().view(self.dict(), part);
}

Value dict_copy(Interpreter& in, const Value& self, const Call& call) {
  call.check("copy", {});
  Value result = in.heap().dict(self.dict().foreign);
  in.budget().step(self.dict().size());
  for (const auto& [key, value] : self.dict().entries()) in.heap().set(result.dict(), key, value);
  return result;
}

Value dict_update(Interpreter& in, const Value& self, const Call& call) {
  if (call.positional.size() > 1) fail("update expected at most 1 argument");
  if (!call.positional.empty()) {
    const Value& from = call.positional.front();
    if (from.is(Kind::dict)) {
      const auto entries = from.dict().entries();
      in.budget().step(entries.size());
      for (const auto& [key, value] : entries) in.heap().set(self.dict(), key, value);
    } else {
      for (const Value& pair : iterate(in.heap(), from)) {
        const Values both = iterate(in.heap(), pair);
        if (both.size() != 2) fail("dict update sequence element has no length of 2");
        in.heap().set(self.dict(), both[0], both[1]);
      }
    }
  }
  for (const auto& [name, value] : call.named) in.heap().set(self.dict(), name, value);
  return Value::none();
}

Value dict_pop(Interpreter& in, const Value& self, const Call& call) {
  call.check("pop", {"key", "default"});
  const Value& key = call.need(0, "key");
  const Value* found = self.dict().find(key);
  if (found == nullptr) {
    const Value* fallback = call.get(1, "default");
    if (fallback == nullptr) fail("pop: the dict has no such key");
    return *fallback;
  }
  Value value = *found;
  in.budget().step(self.dict().size());
  self.dict().erase(key);
  return value;
}

Value dict_popitem(Interpreter& in, const Value& self, const Call& call) {
  call.check("popitem", {});
  if (self.dict().size() == 0) fail("popitem: the dict is empty");
  const auto [key, value] = self.dict().entries().back();
  in.budget().step(self.dict().size());
  self.dict().erase(key);
  return in.heap().tuple({key, value});
}

Value dict_setdefault(Interpreter& in, const Value& self, const Call& call) {
  call.check("setdefault", {"key", "default"});
  const Value& key = call.need(0, "key");
  if (const Value* found = self.dict().find(key)) return *found;
  Value value = call.get(1, "default", Value::none());
  in.heap().set(self.dict(), key, value);
  return value;
}

Value dict_clear(Interpreter&, const Value& self, const Call& call) {
  call.check("clear", {});
  self.dict().clear();
  return Value::none();
}

Value dict_fromkeys(Interpreter& in, const Value&, const Call& call) {
  call.check("fromkeys", {"iterable", "value"});
  Value result = in.heap().dict();
  const Value value = call.get(1, "value", Value::none());
  for (const Value& key : iterate(in.heap(), call.need(0, "iterable"))) in.heap().set(result.dict(), key, value);
  return result;
}

// list, tuple and range

Value sequence_index(Interpreter& in, const Value& self, const Call& call) {
  call.check("index", {"value", "start"});
  const Values items = iterate(in.heap(), self);
  const auto first =
      static_cast<std::size_t>(std::max<std::int64_t>(to_index(call.get(1, "start", Value(Integer{0})), "index"), 0));
  for (std::size_t i = first; i < items.size(); ++i) {
    if (equal(in.budget(), items[i], call.need(0, "value"))) return Value(static_cast<Integer>(i));
  }
  fail("index: the value is not in the list");
}

Value sequence_count(Interpreter& in, const Value& self, const Call& call) {
  call.check("count", {"value"});
  Integer n = 0;
  for (const Value& item : iterate(in.heap(), self)) n += equal(in.budget(), item, call.need(0, "value"));
  return Value(n);
}

Value list_append(Interpreter& in, const Value& self, const Call& call) {
  call.check("append", {"object"});
  in.heap().append(self.list(), call.need(0, "object"));
  return Value::none();
}

Value list_extend(Interpreter& in, const Value& self, const Call& call) {
  call.check("extend", {"iterable"});
  for (Value& value : iterate(in.heap(), call.need(0, "iterable"))) in.heap().append(self.list(), std::move(value));
  return Value::none();
}

Value list_insert(Interpreter& in, const Value& self, const Call& call) {
  call.check("insert", {"index", "object"});
  auto& items = self.list().items;
  const auto size = static_cast<std::int64_t>(items.size());
  std::int64_t at = to_index(call.need(0, "index"), "insert");
  if (at < 0) at += size;
  at = std::clamp<std::int64_t>(at, 0, size);
  in.heap().append(self.list(), call.need(1, "object"));
  in.budget().step(items.size() / 16);
  std::rotate(items.begin() + at, items.end() - 1, items.end());
  return Value::none();
}

Value list_pop(Interpreter& in, const Value& self, const Call& call) {
  call.check("pop", {"index"});
  auto& items = self.list().items;
  const auto size = static_cast<std::int64_t>(items.size());
  std::int64_t at = to_index(call.get(0, "index", Value(Integer{-1})), "pop");
  if (at < 0) at += size;
  if (at < 0 || at >= size) fail("pop: index out of range");
  in.budget().step(items.size() / 16);
  Value value = items[static_cast<std::size_t>(at)];
  items.erase(items.begin() + at);
  return value;
}

Value list_remove(Interpreter& in, const Value& self, const Call& call) {
  call.check("remove", {"value"});
  auto& items = self.list().items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!equal(in.budget(), items[i], call.need(0, "value"))) continue;
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
    return Value::none();
  }
  fail("remove: the value is not in the list");
}

Value list_reverse(Interpreter& in, const Value& self, const Call& call) {
  call.check("reverse", {});
  in.budget().step(self.list().items.size() / 16);
  std::reverse(self.list().items.begin(), self.list().items.end());
  return Value::none();
}

Value list_sort(Interpreter& in, const Value& self, const Call& call) {
  Call with_case;
  with_case.named = call.named;
  with_case.named.emplace_back("case_sensitive", Value(true));
  const Value sorted = in.filter("sort", self, with_case);
  self.list().items = sorted.list().items;
  return Value::none();
}

Value list_clear(Interpreter&, const Value& self, const Call& call) {
  call.check("clear", {});
  self.list().items.clear();
  return Value::none();
}

Value list_copy(Interpreter& in, const Value& self, const Call& call) {
  call.check("copy", {});
  in.budget().step(self.list().items.size() / 16);
  return in.heap().list(self.list().items, self.list().foreign);
}

// numbers

Value is_integer(Interpreter&, const Value& self, const Call& call) {
  call.check("is_integer", {});
  if (self.is_integral()) return Value(true);
  return Value(std::isfinite(self.real()) && self.real() == std::floor(self.real()));
}

Value bit_length(Interpreter&, const Value& self, const Call& call) {
  call.check("bit_length", {});
  Integer n = 0;
  for (Integer value = self.integer() < 0 ? -self.integer() : self.integer(); value > 0; value /= 2) ++n;
  return Value(n);
}

Value conjugate(Interpreter&, const Value& self, const Call& call) {
  call.check("conjugate", {});
  return self.is(Kind::boolean) ? Value(self.integer()) : self;
}

Value integer_ratio(Interpreter& in, const Value& self, const Call& call) {
  call.check("as_integer_ratio", {});
  return in.heap().tuple({conjugate(in, self, call), Value(Integer{1})});
}

using Entry = std::pair<std::string_view, Method>;

constexpr Entry dict_methods[] = {
    {"get", dict_get},     {"items", dict_view<'i'>},       {"keys", dict_view<'k'>},    {"values", dict_view<'v'>},
    {"copy", dict_copy},   {"update", dict_update},         {"pop", dict_pop},           {"popitem", dict_popitem},
    {"clear", dict_clear}, {"setdefault", dict_setdefault}, {"fromkeys", dict_fromkeys},
};
constexpr Entry list_methods[] = {
    {"append", list_append}, {"extend", list_extend},   {"insert", list_insert},   {"pop", list_pop},
    {"remove", list_remove}, {"reverse", list_reverse}, {"sort", list_sort},       {"clear", list_clear},
    {"copy", list_copy},     {"index", sequence_index}, {"count", sequence_count},
};
constexpr Entry tuple_methods[] = {{"index", sequence_index}, {"count", sequence_count}};
constexpr Entry real_methods[] = {{"is_integer", is_integer}, {"conjugate", conjugate}};
constexpr Entry integer_methods[] = {{"is_integer", is_integer},
                                     {"bit_length", bit_length},
                                     {"conjugate", conjugate},
                                     {"as_integer_ratio", integer_ratio}};

template <std::size_t n>
Method look_up(const Entry (&methods)[n], std::string_view name) {
  for (const auto& [known, method] : methods) {
    if (known == name) return method;
  }
  return nullptr;
}

}  // namespace

Method find_container_method(const Value& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::dict:
      return look_up(dict_methods, name);
    case Kind::list:
      return look_up(list_methods, name);
    case Kind::tuple:
      return look_up(tuple_methods, name);
    case Kind::real:
      return look_up(real_methods, name);
    case Kind::integer:
    case Kind::boolean:
      return look_up(integer_methods, name);
    case Kind::object:
      return self.object()->kind == ObjectKind::range ? look_up(tuple_methods, name) : nullptr;
    default:
      return nullptr;
  }
}

Method find_method(const Value& self, std::string_view name) {
  return self.is_string() ? find_string_method(name) : find_container_method(self, name);
}

}  // namespace llm::chat
