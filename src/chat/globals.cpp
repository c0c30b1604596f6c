#include <fmt/format.h>

#include "chat/interpreter.h"

namespace llm::chat {

namespace {

Value make_range(Interpreter& self, const Call& call) {
  call.check("range", {"start", "stop", "step"});
  if (!call.named.empty()) fail("range() takes no keyword arguments");
  const std::int64_t first = to_index(call.need(0, "start"), "range()");
  const Value* stop = call.get(1, "stop");
  if (stop == nullptr) return self.heap().object<Range>(0, first, 1);
  const Value* step = call.get(2, "step");
  return self.heap().object<Range>(first, to_index(*stop, "range()"), step == nullptr ? 1 : to_index(*step, "range()"));
}

// What dict() and namespace() take: a mapping or pairs, and keywords.
Value make_dict(Interpreter& self, const Call& call) {
  Heap& heap = self.heap();
  Value result = heap.dict();
  if (call.positional.size() > 1) fail("dict expected at most 1 argument");
  if (!call.positional.empty()) {
    const Value& from = call.positional.front();
    if (from.is_undefined()) fail_undefined(from);
    if (from.is(Kind::dict)) {
      for (const auto& [key, value] : from.dict().entries()) heap.set(result.dict(), key, value);
    } else {
      for (const Value& pair : iterate(heap, from)) {
        const Values both = iterate(heap, pair);
        if (both.size() != 2) fail("dict update sequence element has no length of 2");
        heap.set(result.dict(), both[0], both[1]);
      }
    }
  }
  for (const auto& [name, value] : call.named) heap.set(result.dict(), name, value);
  return result;
}

Value make_namespace(Interpreter& self, const Call& call) {
  const Value values = make_dict(self, call);
  for (const auto& [name, value] : call.named) {
    if (name.front() == '_') fail(fmt::format("namespace attribute '{}' starts with an underscore", name));
  }
  return self.heap().object<Namespace>(&values.dict());
}

Value make_cycler(Interpreter& self, const Call& call) {
  if (call.positional.empty()) fail("at least one item has to be provided");
  return self.heap().object<Cycler>(call.positional);
}

Value make_joiner(Interpreter& self, const Call& call) {
  call.check("joiner", {"sep"});
  return self.heap().object<Joiner>(call.get(0, "sep", Value::literal(", ")));
}

Value raise_exception(Interpreter& self, const Call& call) {
  std::string message = self.text_of(call.need(0, "message"))->bytes();
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  fail(std::move(message));
}

Value lorem(Interpreter&, const Call&) {
  fail("lipsum is not supported");
}

Value strftime_now(Interpreter& self, const Call& call) {
  call.check("strftime_now", {"format"});
  const Value& format = call.need(0, "format");
  if (!format.is_string()) fail("strftime_now: expected a string");
  const std::string& pattern = format.bytes();
  TextBuilder out(self.budget());
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      out.append(pattern.substr(i, 1), false);
      continue;
    }
    std::string directive = "%";
    ++i;
    if (pattern[i] == '-' || pattern[i] == '_' || pattern[i] == '^' || pattern[i] == '#') directive += pattern[i++];
    if (i == pattern.size()) break;
    directive += pattern[i];
    if (directive == "%f") {
      out.append("000000", false);
      continue;
    }
    if (directive == "%z" || directive == "%Z") continue;  // the clock has no zone
    char buffer[128];
    const std::size_t n = std::strftime(buffer, sizeof buffer, directive.c_str(), &self.now());
    out.append(std::string_view(buffer, n), false);
  }
  return Value(out.finish());
}

}  // namespace

void Interpreter::define_globals() {
  if (ids_.count("self") != 0) define("self", heap_.object<Namespace>(&heap_.dict().dict()));
  const std::pair<std::string_view, Value (*)(Interpreter&, const Call&)> functions[] = {
      {"range", make_range},
      {"dict", make_dict},
      {"namespace", make_namespace},
      {"cycler", make_cycler},
      {"joiner", make_joiner},
      {"raise_exception", raise_exception},
      {"lipsum", lorem},
      {"strftime_now", strftime_now},
  };
  for (const auto& [name, body] : functions) {
    if (ids_.count(name) != 0) define(name, function(std::string(name), body));
  }
}

const Value* Call::get(std::size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

Value Call::get(std::size_t position, std::string_view name, const Value& fallback) const {
  const Value* value = get(position, name);
  return value == nullptr ? fallback : *value;
}

const Value& Call::need(std::size_t position, std::string_view name) const {
  const Value* value = get(position, name);
  if (value == nullptr) fail(fmt::format("missing required argument '{}'", name));
  return *value;
}

void Call::check(std::string_view function, std::initializer_list<std::string_view> parameters) const {
  if (positional.size() > parameters.size()) {
    fail(fmt::format("{} takes at most {} argument(s), {} given", function, parameters.size(), positional.size()));
  }
  for (const auto& [name, value] : named) {
    std::size_t position = 0;
    for (const std::string_view parameter : parameters) {
      if (parameter == name) break;
      ++position;
    }
    if (position == parameters.size()) fail(fmt::format("{} got an unexpected keyword argument '{}'", function, name));
    if (position < positional.size()) fail(fmt::format("{} got multiple values for argument '{}'", function, name));
  }
}

}  // namespace llm::chat
