#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "chat/interpreter.h"
#include "chat/string_methods.h"

namespace llm::chat {

namespace {

// "a.b.0" or a number, applied to values.
class AttributePath {
 public:
  AttributePath(Interpreter& in, const Value* path, const Value* fallback = nullptr) : in_(in) {
    if (fallback != nullptr && !fallback->is_none()) fallback_ = *fallback;
    if (path == nullptr || path->is_none()) return;
    if (path->is_integral()) {
      parts_.push_back(*path);
      return;
    }
    const std::string& text = string_argument(*path, "attribute").bytes();
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t dot = std::min(text.find('.', at), text.size());
      const std::string part = text.substr(at, dot - at);
      Integer number = 0;
      const bool numeric = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
      in.budget().step();
      parts_.push_back(numeric && parse_integer(part, 10, number) ? Value(number) : in.text_value(part));
      at = dot + 1;
    }
  }

  Value operator()(const Value& value) const {
    Value result = value;
    for (const Value& part : parts_) {
      result = in_.item(result, part);
      if (fallback_ && result.is_undefined()) result = *fallback_;
    }
    return result;
  }

 private:
  Interpreter& in_;
  Values parts_;
  std::optional<Value> fallback_;
};

// Strings in lower case unless case counts.
Value sort_key(Interpreter& in, Value value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  return Value(map_case(in.budget(), *value.text(), 'l'));
}

struct Keyed {
  Value key, value;
};

// equal_need_no_order: as Python compares lists of keys; else as it compares the keys.
void sort_keyed(Interpreter& in, std::vector<Keyed>& items, bool reverse, bool equal_need_no_order = false) {
  in.budget().step(items.size());
  // Reversed, equal elements keep their order.
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    if (equal_need_no_order && (&a == &b || equal(in.budget(), a.key, b.key))) return false;
    return reverse ? compare(in.budget(), b.key, a.key) == -1 : compare(in.budget(), a.key, b.key) == -1;
  });
}

Value take_values(Interpreter& in, std::vector<Keyed>& items) {
  Values values;
  for (Keyed& item : items) values.push_back(std::move(item.value));
  return in.heap().list(std::move(values));
}

Value sort(Interpreter& in, const Value& input, const Call& call) {
  call.check("sort", {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = truth(call.get(1, "case_sensitive", Value(false)));
  const Value* attribute = call.get(2, "attribute");
  std::vector<AttributePath> paths;
  if (attribute != nullptr && attribute->is_string() && attribute->bytes().find(',') != std::string::npos) {
    Call by_comma;
    by_comma.positional.push_back(Value::literal(","));
    const Value parts = find_string_method("split")(in, *attribute, by_comma);
    for (const Value& part : parts.list().items) paths.emplace_back(in, &part);
  } else {
    paths.emplace_back(in, attribute);
  }
  std::vector<Keyed> items;
  for (Value& value : iterate(in.heap(), input)) {
    if (paths.size() == 1) {
      items.push_back({sort_key(in, paths[0](value), case_sensitive), value});
    } else {
      Values keys;
      for (const AttributePath& path : paths) keys.push_back(sort_key(in, path(value), case_sensitive));
      items.push_back({in.heap().list(std::move(keys)), value});
    }
  }
  sort_keyed(in, items, truth(call.get(0, "reverse", Value(false))), true);
  return take_values(in, items);
}

Value dict_sort(Interpreter& in, const Value& input, const Call& call) {
  call.check("dictsort", {"case_sensitive", "by", "reverse"});
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is(Kind::dict)) fail(fmt::format("'{}' object has no attribute 'items'", type_name(input)));
  const bool case_sensitive = truth(call.get(0, "case_sensitive", Value(false)));
  const Value by = call.get(1, "by", Value::literal("key"));
  const std::string part = by.is_string() ? by.bytes() : "";
  if (part != "key" && part != "value") fail("you can only sort by either 'key' or 'value'");
  std::vector<Keyed> items;
  for (const auto& [key, value] : input.dict().entries()) {
    items.push_back({sort_key(in, part == "key" ? key : value, case_sensitive),
                     in.heap().tuple({key, value}, input.dict().foreign)});
  }
  sort_keyed(in, items, truth(call.get(2, "reverse", Value(false))));
  return take_values(in, items);
}

Value group_by(Interpreter& in, const Value& input, const Call& call) {
  call.check("groupby", {"attribute", "default", "case_sensitive"});
  static const std::vector<std::string> names = {"grouper", "list"};
  const AttributePath path(in, &call.need(0, "attribute"), call.get(1, "default"));
  const bool case_sensitive = truth(call.get(2, "case_sensitive", Value(false)));
  std::vector<Keyed> items;
  for (Value& value : iterate(in.heap(), input)) {
    items.push_back({sort_key(in, path(value), case_sensitive), value});
  }
  sort_keyed(in, items, false);
  Values groups;
  for (std::size_t i = 0; i < items.size();) {
    std::size_t end = i;
    Values members;
    while (end < items.size() && equal(in.budget(), items[i].key, items[end].key))
      members.push_back(items[end++].value);
    Value grouper = case_sensitive ? items[i].key : path(items[i].value);
    const Value group = in.heap().tuple({std::move(grouper), in.heap().list(std::move(members))});
    group.list().names = &names;
    groups.push_back(group);
    i = end;
  }
  return in.heap().list(std::move(groups));
}

Value unique(Interpreter& in, const Value& input, const Call& call) {
  call.check("unique", {"case_sensitive", "attribute"});
  const bool case_sensitive = truth(call.get(0, "case_sensitive", Value(false)));
  const AttributePath path(in, call.get(1, "attribute"));
  const Value seen = in.heap().dict();
  bool seen_undefined = false;
  Values kept;
  for (Value& value : iterate(in.heap(), input)) {
    Value key = sort_key(in, path(value), case_sensitive);
    if (key.is_undefined()) {
      if (std::exchange(seen_undefined, true)) continue;  // all undefined values are one
    } else {
      if (!key.is(Kind::list) && !key.is(Kind::dict) && seen.dict().find(key) != nullptr) continue;
      in.heap().set(seen.dict(), std::move(key), Value(true));
    }
    kept.push_back(std::move(value));
  }
  return in.heap().iterator(std::move(kept));
}

template <bool largest>
Value extreme(Interpreter& in, const Value& input, const Call& call) {
  call.check(largest ? "max" : "min", {"case_sensitive", "attribute"});
  const bool case_sensitive = truth(call.get(0, "case_sensitive", Value(false)));
  const AttributePath path(in, call.get(1, "attribute"));
  const Values items = iterate(in.heap(), input);
  if (items.empty()) return Value::undefined("no aggregated item, sequence was empty");
  Value best = items.front(), best_key = sort_key(in, path(best), case_sensitive);
  for (std::size_t i = 1; i < items.size(); ++i) {
    Value key = sort_key(in, path(items[i]), case_sensitive);
    if (largest ? compare(in.budget(), key, best_key, ">") != 1 : compare(in.budget(), key, best_key) != -1) continue;
    best = items[i];
    best_key = std::move(key);
  }
  return best;
}

Value sum(Interpreter& in, const Value& input, const Call& call) {
  call.check("sum", {"attribute", "start"});
  const AttributePath path(in, call.get(0, "attribute"));
  Value total = call.get(1, "start", Value(Integer{0}));
  for (const Value& value : iterate(in.heap(), input)) total = arithmetic(in.heap(), "+", total, path(value));
  return total;
}

Value join(Interpreter& in, const Value& input, const Call& call) {
  call.check("join", {"d", "attribute"});
  const TextPtr separator = in.text_of(call.get(0, "d", Value::literal("")));
  const AttributePath path(in, call.get(1, "attribute"));
  TextBuilder out(in.budget());
  bool first = true;
  for (const Value& value : iterate(in.heap(), input)) {
    if (!first) out.append(*separator);
    first = false;
    append_text(out, in.budget(), path(value));
  }
  return Value(out.finish());
}

Value first(Interpreter& in, const Value& input, const Call& call) {
  call.check("first", {});
  if (input.is_sequence() && !input.list().items.empty()) return input.list().items.front();
  if (input.is(Kind::object) && input.object()->kind == ObjectKind::iterator) {
    auto& iterator = *static_cast<Iterator*>(input.object());
    if (iterator.next < iterator.items->items.size()) return iterator.items->items[iterator.next++];
    return Value::undefined("no first item, sequence was empty");
  }
  const Values items = iterate(in.heap(), input);
  return items.empty() ? Value::undefined("no first item, sequence was empty") : items.front();
}

void need_reversible(const Value& input) {
  if (input.is(Kind::object) && input.object()->kind == ObjectKind::iterator) {
    fail(fmt::format("'{}' object is not reversible", type_name(input)));
  }
}

Value last(Interpreter& in, const Value& input, const Call& call) {
  call.check("last", {});
  need_reversible(input);
  if (input.is_sequence() && !input.list().items.empty()) return input.list().items.back();
  const Values items = iterate(in.heap(), input);
  return items.empty() ? Value::undefined("no last item, sequence was empty") : items.back();
}

// Any element would do; the same one each time keeps renderings alike.
Value random(Interpreter& in, const Value& input, const Call& call) {
  call.check("random", {});
  need_reversible(input);
  if (input.is(Kind::dict) || (input.is(Kind::object) && input.object()->kind == ObjectKind::view)) {
    fail(fmt::format("'{}' object has no elements to choose from", type_name(input)));
  }
  const Values items = iterate(in.heap(), input);
  return items.empty() ? Value::undefined("no random item, sequence was empty") : items[items.size() / 2];
}

Value list(Interpreter& in, const Value& input, const Call& call) {
  call.check("list", {});
  const bool foreign = input.is(Kind::list) && input.list().foreign;
  return in.heap().list(iterate(in.heap(), input), foreign);
}

Value reverse(Interpreter& in, const Value& input, const Call& call) {
  call.check("reverse", {});
  if (input.is_string()) {
    return slice_value(in.heap(), input, Value::none(), Value::none(), Value(Integer{-1}));
  }
  Values items = iterate(in.heap(), input);
  std::reverse(items.begin(), items.end());
  return in.heap().iterator(std::move(items), "list_reverseiterator");
}

Value items(Interpreter& in, const Value& input, const Call& call) {
  call.check("items", {});
  if (input.is_undefined()) return in.heap().iterator({});
  if (!input.is(Kind::dict)) fail("can only get item pairs from a mapping");
  return in.heap().iterator(iterate(in.heap(), in.heap().view(input.dict(), 'i')));
}

Value batch(Interpreter& in, const Value& input, const Call& call) {
  call.check("batch", {"linecount", "fill_with"});
  const std::int64_t size = to_index(call.need(0, "linecount"), "batch");
  const Value fill = call.get(1, "fill_with", Value::none());
  Values rows, row;
  const auto finish = [&] { rows.push_back(in.heap().list(std::exchange(row, Values()))); };
  for (Value& value : iterate(in.heap(), input)) {
    if (static_cast<std::int64_t>(row.size()) == size) finish();
    row.push_back(std::move(value));
  }
  if (!row.empty()) {
    if (!fill.is_none() && static_cast<std::int64_t>(row.size()) < size) {
      const std::size_t missing = static_cast<std::size_t>(size) - row.size();
      if (missing > in.budget().limits().memory_bytes / sizeof(Value)) fail("batch: a list is too long");
      in.budget().step(missing);
      row.insert(row.end(), missing, fill);
    }
    finish();
  }
  return in.heap().iterator(std::move(rows));
}

Value slice_filter(Interpreter& in, const Value& input, const Call& call) {
  call.check("slice", {"slices", "fill_with"});
  const std::int64_t slices = to_index(call.need(0, "slices"), "slice");
  const Value fill = call.get(1, "fill_with", Value::none());
  const Values all = iterate(in.heap(), input);
  if (slices == 0) fail("integer division or modulo by zero");
  in.budget().step(static_cast<std::size_t>(std::max<std::int64_t>(slices, 0)));
  Values columns;
  const auto size = static_cast<std::int64_t>(all.size());
  for (std::int64_t i = 0, begin = 0; i < slices; ++i) {
    const std::int64_t end = begin + size / slices + (i < size % slices ? 1 : 0);
    Values column(all.begin() + begin, all.begin() + end);
    if (!fill.is_none() && i >= size % slices) column.push_back(fill);
    columns.push_back(in.heap().list(std::move(column)));
    begin = end;
  }
  return in.heap().iterator(std::move(columns));
}

// The arguments behind the first n.
Call rest_of(const Call& call, std::size_t n) {
  Call rest;
  for (std::size_t i = n; i < call.positional.size(); ++i) rest.positional.push_back(call.positional[i]);
  rest.named = call.named;
  return rest;
}

Value map(Interpreter& in, const Value& input, const Call& call) {
  Values results;
  if (!truth(input)) return in.heap().iterator({});  // also of none
  if (call.positional.empty()) {
    call.check("map", {"attribute", "default"});
    const Value* attribute = call.get(0, "attribute");
    if (attribute == nullptr) fail("map requires a filter argument");
    const AttributePath path(in, attribute, call.get(1, "default"));
    for (const Value& value : iterate(in.heap(), input)) results.push_back(path(value));
  } else {
    const std::string name = string_argument(call.positional.front(), "map").bytes();
    if (!is_filter(name)) fail(fmt::format("no filter named '{}'", name.substr(0, 100)));
    const Call rest = rest_of(call, 1);
    for (const Value& value : iterate(in.heap(), input)) results.push_back(in.filter(name, value, rest));
  }
  return in.heap().iterator(std::move(results));
}

template <bool wanted, bool by_attribute>
Value select(Interpreter& in, const Value& input, const Call& call) {
  std::size_t used = 0;
  const Value* attribute = nullptr;
  if (by_attribute) attribute = &call.need(used++, "attribute");
  const AttributePath path(in, attribute);
  std::string name;
  if (call.positional.size() > used) name = string_argument(call.positional[used++], "test").bytes();
  if (!name.empty() && !is_test(name)) fail(fmt::format("no test named '{}'", name.substr(0, 100)));
  const Call rest = rest_of(call, used);
  Values kept;
  if (!truth(input)) return in.heap().iterator({});  // also of none
  for (Value& value : iterate(in.heap(), input)) {
    const Value tested = path(value);
    const bool holds = name.empty() ? truth(tested) : in.test(name, tested, rest);
    if (holds == wanted) kept.push_back(std::move(value));
  }
  return in.heap().iterator(std::move(kept));
}

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> filters[] = {
      {"batch", batch},
      {"dictsort", dict_sort},
      {"first", first},
      {"groupby", group_by},
      {"items", items},
      {"join", join},
      {"last", last},
      {"list", list},
      {"map", map},
      {"max", extreme<true>},
      {"min", extreme<false>},
      {"random", random},
      {"reject", select<false, false>},
      {"rejectattr", select<false, true>},
      {"reverse", reverse},
      {"select", select<true, false>},
      {"selectattr", select<true, true>},
      {"slice", slice_filter},
      {"sort", sort},
      {"sum", sum},
      {"unique", unique},
  };
  for (const auto& [known, filter] : filters) {
    if (known == name) return filter;
  }
  return nullptr;
}

}  // namespace llm::chat
