#include <fmt/format.h>

#include "chat/interpreter.h"
#include "chat/unicode.h"
#include "chat/value.h"

namespace llm::chat {

namespace {

void append_string_repr(TextBuilder& out, const Text& text, bool foreign) {
  const std::string& bytes = text.bytes();
  const bool double_quotes = bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  out.append(std::string_view(&quote, 1), foreign);
  for (TextReader reader(text); !reader.done();) {
    const bool origin = reader.foreign();
    const char32_t c = reader.next();
    if (c == U'\n') {
      out.append("\\n", origin);
    } else if (c == U'\r') {
      out.append("\\r", origin);
    } else if (c == U'\t') {
      out.append("\\t", origin);
    } else if (c == U'\\' || c == static_cast<char32_t>(quote)) {
      const char escaped[2] = {'\\', static_cast<char>(c)};
      out.append(std::string_view(escaped, 2), origin);
    } else if (is_printable(c)) {
      out.append(c, origin);
    } else if (c < 0x100) {
      out.append(fmt::format("\\x{:02x}", static_cast<unsigned>(c)), origin);
    } else if (c < 0x10000) {
      out.append(fmt::format("\\u{:04x}", static_cast<unsigned>(c)), origin);
    } else {
      out.append(fmt::format("\\U{:08x}", static_cast<unsigned>(c)), origin);
    }
  }
  out.append(std::string_view(&quote, 1), foreign);
}

void append_items(TextBuilder& out, Budget& budget, const Values& items, bool foreign, int depth) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out.append(", ", foreign);
    first = false;
    append_repr(out, budget, item, depth + 1);
  }
}

void append_dict(TextBuilder& out, Budget& budget, const Dict& dict, int depth) {
  out.append("{", dict.foreign);
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out.append(", ", dict.foreign);
    first = false;
    append_repr(out, budget, key, depth + 1);
    out.append(": ", dict.foreign);
    append_repr(out, budget, value, depth + 1);
  }
  out.append("}", dict.foreign);
}

void append_view(TextBuilder& out, Budget& budget, const View& view, int depth) {
  const bool foreign = view.dict->foreign;
  out.append(view.part == 'k' ? "dict_keys([" : view.part == 'v' ? "dict_values([" : "dict_items([", false);
  bool first = true;
  for (const auto& [key, value] : view.dict->entries()) {
    if (!first) out.append(", ", foreign);
    first = false;
    if (view.part == 'i') out.append("(", foreign);
    if (view.part != 'v') append_repr(out, budget, key, depth + 1);
    if (view.part == 'i') out.append(", ", foreign);
    if (view.part != 'k') append_repr(out, budget, value, depth + 1);
    if (view.part == 'i') out.append(")", foreign);
  }
  out.append("])", false);
}

void append_object(TextBuilder& out, Budget& budget, const Value& value, int depth) {
  switch (value.object()->kind) {
    case ObjectKind::view:
      return append_view(out, budget, *static_cast<const View*>(value.object()), depth);
    case ObjectKind::range: {
      const auto& range = *static_cast<const Range*>(value.object());
      return out.append(range.step == 1 ? fmt::format("range({}, {})", range.start, range.stop)
                                        : fmt::format("range({}, {}, {})", range.start, range.stop, range.step),
                        false);
    }
    case ObjectKind::name_space:
      out.append("<Namespace ", false);
      append_dict(out, budget, *static_cast<const Namespace*>(value.object())->attributes, depth + 1);
      return out.append(">", false);
    case ObjectKind::loop: {
      const auto& loop = *static_cast<const LoopObject*>(value.object());
      return out.append(fmt::format("<LoopContext {}/{}>", loop.index + 1, loop.items.size()), false);
    }
    case ObjectKind::function:
      if (const auto& of = *static_cast<const Function*>(value.object()); of.macro != nullptr) {
        out.append("<Macro ", false);
        append_string_repr(out, Text(of.name, false), false);
        return out.append(">", false);
      }
      [[fallthrough]];
    default:
      return out.append(fmt::format("<{} object>", type_name(value)), false);
  }
}

}  // namespace

void append_repr(TextBuilder& out, Budget& budget, const Value& value, int depth) {
  budget.step();
  if (depth > nesting_limit) fail("values nest too deep to be printed");
  switch (value.kind()) {
    case Kind::undefined:
      return out.append("Undefined", false);
    case Kind::none:
      return out.append("None", value.foreign());
    case Kind::boolean:
      return out.append(value.boolean() ? "True" : "False", value.foreign());
    case Kind::integer:
      return out.append(format_integer(value), value.foreign());
    case Kind::real:
      return out.append(format_real(value.real()), value.foreign());
    case Kind::string:
      if (!value.markup()) return append_string_repr(out, *value.text(), value.text()->any_foreign());
      out.append("Markup(", false);
      append_string_repr(out, *value.text(), value.text()->any_foreign());
      return out.append(")", false);
    case Kind::list:
      out.append("[", value.list().foreign);
      append_items(out, budget, value.list().items, value.list().foreign, depth);
      return out.append("]", value.list().foreign);
    case Kind::tuple:
      out.append("(", value.list().foreign);
      append_items(out, budget, value.list().items, value.list().foreign, depth);
      return out.append(value.list().items.size() == 1 ? ",)" : ")", value.list().foreign);
    case Kind::dict:
      return append_dict(out, budget, value.dict(), depth);
    case Kind::object:
      return append_object(out, budget, value, depth);
  }
}

void append_text(TextBuilder& out, Budget& budget, const Value& value) {
  if (value.is_string()) return out.append(*value.text());
  if (value.is_undefined()) return;
  append_repr(out, budget, value);
}

TextPtr to_text(Budget& budget, const Value& value) {
  if (value.is_string()) return value.text();
  TextBuilder out(budget);
  append_text(out, budget, value);
  return out.finish();
}

}  // namespace llm::chat
