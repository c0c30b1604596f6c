#include <fmt/format.h>

#include "chat/interpreter.h"
#include "chat/string_methods.h"
#include "chat/unicode.h"

// str.maketrans and str.translate.

namespace llm::chat {

namespace {

std::u32string code_points(const Value& text, std::string_view what) {
  const std::string& bytes = string_argument(text, what).bytes();
  std::u32string points;
  for (std::size_t at = 0; at < bytes.size();) points += next_code_point(bytes, at);
  return points;
}

Value key_of(char32_t c) {
  return Value(static_cast<Integer>(c));
}

}  // namespace

Value make_translation(Interpreter& in, const Value&, const Call& call) {
  call.check("maketrans", {"x", "y", "z"});
  Heap& heap = in.heap();
  Value table = heap.dict();
  const Value& first = call.need(0, "x");
  const Value* second = call.get(1, "y");
  if (second == nullptr) {
    if (!first.is(Kind::dict)) fail("maketrans: with one argument it must be a dict");
    for (const auto& [key, value] : first.dict().entries()) {
      if (!key.is_string()) {
        heap.set(table.dict(), key, value);
        continue;
      }
      const std::u32string points = code_points(key, "maketrans");
      if (points.size() != 1) fail("maketrans: string keys must be of length 1");
      heap.set(table.dict(), key_of(points.front()), value);
    }
    return table;
  }
  const std::u32string from = code_points(first, "maketrans"), to = code_points(*second, "maketrans");
  if (from.size() != to.size()) fail("maketrans: the first two arguments must have equal length");
  for (std::size_t i = 0; i < from.size(); ++i) heap.set(table.dict(), key_of(from[i]), key_of(to[i]));
  if (const Value* gone = call.get(2, "z")) {
    for (const char32_t c : code_points(*gone, "maketrans")) heap.set(table.dict(), key_of(c), Value::none());
  }
  return table;
}

Value translate(Interpreter& in, const Value& self, const Call& call) {
  call.check("translate", {"table"});
  const Value& table = call.need(0, "table");
  if (!table.is(Kind::dict)) fail(fmt::format("translate: expected a dict, found '{}'", type_name(table)));
  in.budget().scan(self.bytes().size() * 8);
  TextBuilder out(in.budget());
  for (TextReader reader(*self.text()); !reader.done();) {
    const bool foreign = reader.foreign();
    const char32_t c = reader.next();
    const Value* with = table.dict().find(key_of(c));
    if (with == nullptr) {
      out.append(c, foreign);
    } else if (with->is_string()) {
      out.append(*with->text());
    } else if (with->is_integral()) {
      const Integer code = with->integer();
      if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        fail("translate: no character has this code");
      out.append(static_cast<char32_t>(code), foreign);
    } else if (!with->is_none()) {
      fail("translate: a character maps to an integer, none or a string");
    }
  }
  return Value(out.finish(), self.markup());
}

}  // namespace llm::chat
