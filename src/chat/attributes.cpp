#include <algorithm>

#include <fmt/format.h>

#include "chat/interpreter.h"

namespace llm::chat {

namespace {

std::string described(const Value& value) {
  if (value.is_none()) return "'None'";
  return fmt::format("'{} object'", type_name(value));
}

Value no_attribute(const Value& value, std::string_view name) {
  return Value::undefined(fmt::format("{} has no attribute '{}'", described(value), name.substr(0, 100)));
}

// An index from the end counts backwards; -1 if there is no such element.
std::int64_t wrapped(const Value& key, std::int64_t size) {
  std::int64_t i = to_index(key, "index");
  if (i < 0) i += size;
  return i >= 0 && i < size ? i : -1;
}

// value[key] where the type has items; `found` tells.
Value element(Heap& heap, const Value& value, const Value& key, bool& found) {
  found = true;
  if (value.is(Kind::dict)) {
    if (!key.is(Kind::list) && !key.is(Kind::dict)) {
      if (const Value* item = value.dict().find(key)) return *item;
    }
  } else if (key.is_integral()) {
    const std::int64_t size = length_of(value);
    const bool has_items = value.is_string() || value.is_sequence() ||
                           (value.is(Kind::object) && value.object()->kind == ObjectKind::range);
    const std::int64_t i = has_items ? wrapped(key, size) : -1;
    if (i >= 0) {
      const auto at = static_cast<std::size_t>(i);
      if (value.is_sequence()) return value.list().items[at];
      if (value.is(Kind::object)) return static_cast<const Range*>(value.object())->at(i);
      const Text& text = *value.text();
      if (!text.ascii()) heap.budget().scan(text.bytes().size());
      const std::size_t begin = text.offset(at);
      return Value(slice(heap.budget(), value.text(), begin,
                         begin + (text.ascii() ? 1 : [&] {
                           std::size_t n = 1;
                           while (begin + n < text.bytes().size() &&
                                  (static_cast<unsigned char>(text.bytes()[begin + n]) & 0xC0) == 0x80)
                             ++n;
                           return n;
                         }())));
    }
  }
  found = false;
  return {};
}

}  // namespace

Value Interpreter::loop_attribute(LoopObject& loop, const Value& value, std::string_view name, bool& found) {
  const auto number = [](std::size_t n) { return Value(static_cast<Integer>(n)); };
  const std::size_t n = loop.items.size();
  found = true;
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "revindex") return number(n - loop.index);
  if (name == "revindex0") return number(n - loop.index - 1);
  if (name == "first") return Value(loop.index == 0);
  if (name == "last") return Value(loop.index + 1 == n);
  if (name == "length") return number(n);
  if (name == "depth") return Value(Integer{loop.depth} + 1);
  if (name == "depth0") return Value(Integer{loop.depth});
  if (name == "previtem") {
    return loop.index > 0 && loop.index <= n ? loop.items[loop.index - 1]
                                             : Value::undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return loop.index + 1 < n ? loop.items[loop.index + 1] : Value::undefined("there is no next item");
  }
  if (name == "cycle") {
    return function("cycle", [value](Interpreter&, const Call& arguments) {
      if (arguments.positional.empty()) fail("no items for cycling given");
      return arguments.positional[static_cast<LoopObject*>(value.object())->index % arguments.positional.size()];
    });
  }
  if (name == "changed") {
    return function("changed", [value](Interpreter& self, const Call& arguments) {
      auto& of = *static_cast<LoopObject*>(value.object());
      bool same = of.has_changed && of.changed.size() == arguments.positional.size();
      for (std::size_t i = 0; same && i < of.changed.size(); ++i) {
        same = equal(self.budget(), of.changed[i], arguments.positional[i]);
      }
      if (!same) of.changed = arguments.positional;
      of.has_changed = true;
      return Value(!same);
    });
  }
  found = false;
  return {};
}

Value Interpreter::object_attribute(const Value& value, std::string_view name, bool& found) {
  found = true;
  Object* object = value.object();
  switch (object->kind) {
    case ObjectKind::name_space:
      if (const Value* attribute = static_cast<const Namespace*>(object)->attributes->find(name)) return *attribute;
      break;
    case ObjectKind::loop:
      return loop_attribute(*static_cast<LoopObject*>(object), value, name, found);
    case ObjectKind::function: {
      const auto& of = *static_cast<const Function*>(object);
      if (of.macro == nullptr) break;
      if (name == "name") return text_value(of.name);
      if (name == "catch_varargs") return Value(of.macro->uses_varargs);
      if (name == "catch_kwargs") return Value(of.macro->uses_kwargs);
      if (name == "caller") return Value(of.macro->uses_caller);
      if (name == "arguments") {
        Values names;
        for (const Parameter& parameter : of.macro->parameters) names.push_back(text_value(parameter.text));
        return heap_.tuple(std::move(names));
      }
      break;
    }
    case ObjectKind::cycler: {
      auto& cycler = *static_cast<Cycler*>(object);
      if (name == "current") return cycler.items[cycler.position];
      if (name == "next" || name == "reset") {
        return function(std::string(name), [&cycler, next = name == "next"](Interpreter&, const Call&) {
          const std::size_t at = cycler.position;
          cycler.position = next ? (at + 1) % cycler.items.size() : 0;
          return next ? cycler.items[at] : Value::none();
        });
      }
      break;
    }
    case ObjectKind::range: {
      const auto& range = *static_cast<const Range*>(object);
      if (name == "start") return Value(Integer{range.start});
      if (name == "stop") return Value(Integer{range.stop});
      if (name == "step") return Value(Integer{range.step});
      break;
    }
    default:
      break;
  }
  found = false;
  return {};
}

bool changes_containers(std::string_view name) {
  static constexpr std::string_view names[] = {"append", "clear",   "extend",     "insert", "pop",   "popitem",
                                               "remove", "reverse", "setdefault", "sort",   "update"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Method Interpreter::method_of(const Value& self, std::string_view name) const {
  const bool container = self.is(Kind::list) || self.is(Kind::dict);
  return container && !may_change_ && changes_containers(name) ? nullptr : find_method(self, name);
}

Value Interpreter::attribute(const Value& value, std::string_view name) {
  if (value.is_undefined() && name == "__class__") return no_attribute(value, name);
  if (value.is_undefined()) fail_undefined(value);
  if (const Method method = method_of(value, name)) {
    return function(std::string(name), [method, value](Interpreter& self, const Call& arguments) {
      return method(self, value, arguments);
    });
  }
  bool found = false;
  if (value.is(Kind::object)) {
    Value result = object_attribute(value, name, found);
    if (found) return result;
  }
  if (value.is(Kind::dict)) {
    if (const Value* item = value.dict().find(name)) return *item;
  }
  if (value.is(Kind::tuple) && value.list().names != nullptr) {
    const auto& names = *value.list().names;
    const auto at = std::find(names.begin(), names.end(), name);
    if (at != names.end()) return value.list().items[static_cast<std::size_t>(at - names.begin())];
  }
  if (value.is_number()) {
    if (name == "real") return value;
    if (name == "imag") return value.is(Kind::real) ? Value(0.0) : Value(Integer{0});
    if (value.is_integral() && name == "numerator") return Value(value.integer());
    if (value.is_integral() && name == "denominator") return Value(Integer{1});
  }
  return no_attribute(value, name);
}

Value Interpreter::item(const Value& value, const Value& key) {
  if (value.is_undefined()) fail_undefined(value);
  bool found = false;
  Value result = element(heap_, value, key, found);
  if (found) return result;
  if (key.is_string()) {
    if (value.is(Kind::dict) && find_method(value, key.bytes()) == nullptr) return no_attribute(value, key.bytes());
    return attribute(value, key.bytes());
  }
  if (key.is_undefined() && !value.is(Kind::dict)) {
    return Value::undefined(fmt::format("{} has no element: {}", described(value), key.why_undefined()));
  }
  TextBuilder shown(budget_);
  if (key.is_number() || key.is_none()) append_repr(shown, budget_, key);
  return Value::undefined(fmt::format("{} has no element {}", type_name(value) + " object", shown.bytes()));
}

}  // namespace llm::chat
