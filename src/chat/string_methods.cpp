#include "chat/string_methods.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include <fmt/format.h>

#include "chat/interpreter.h"
#include "chat/text_search.h"
#include "chat/unicode.h"

namespace llm::chat {

const Value& string_argument(const Value& value, std::string_view what) {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_string()) fail(fmt::format("{}: expected a string, found '{}'", what, type_name(value)));
  return value;
}

TextPtr strip(Budget& budget, const TextPtr& text, const Value* chars, bool left, bool right) {
  const std::string& bytes = text->bytes();
  std::u32string set;
  const bool by_space = chars == nullptr || chars->is_none();
  if (!by_space) {
    const std::string& given = string_argument(*chars, "strip").bytes();
    for (std::size_t i = 0; i < given.size();) set += next_code_point(given, i);
  }
  budget.step(1 + set.size() / 8);
  const auto goes = [&](char32_t c) { return by_space ? is_space(c) : set.find(c) != std::u32string::npos; };
  std::size_t begin = 0, end = bytes.size();
  std::size_t looked = 0;
  const auto look = [&] {
    if (++looked % 64 == 0) budget.step(1 + set.size() / 8);
  };
  while (left && begin < end) {
    std::size_t next = begin;
    if (!goes(next_code_point(bytes, next))) break;
    begin = next;
    look();
  }
  while (right && end > begin) {
    std::size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(bytes[last]) & 0xC0) == 0x80) --last;
    std::size_t position = last;
    if (!goes(next_code_point(bytes, position))) break;
    end = last;
    look();
  }
  return slice(budget, text, begin, end);
}

TextPtr replace(Budget& budget, const TextPtr& text, const Text& old, const Text& with, std::int64_t count) {
  const std::string& bytes = text->bytes();
  TextBuilder out(budget);
  std::size_t at = 0;
  budget.scan(bytes.size());
  if (old.bytes().empty()) {
    for (TextReader reader(*text); count != 0; --count) {
      out.append(with);
      budget.step();
      if (reader.done()) break;
      const std::size_t begin = reader.offset();
      reader.next();
      out.append(*text, begin, at = reader.offset());
    }
  } else {
    for (; count != 0; --count) {
      const std::size_t found = find_bytes(bytes, old.bytes(), at);
      if (found == std::string::npos) break;
      budget.step(1 + with.runs().size());
      out.append(*text, at, found);
      out.append(with);
      at = found + old.bytes().size();
    }
    if (at == 0) return text;
  }
  out.append(*text, at, bytes.size());
  return out.finish();
}

TextPtr map_case(Budget& budget, const Text& text, char to) {
  TextBuilder out(budget);
  bool in_word = false, first = true;
  std::string piece;
  bool piece_origin = false;
  for (TextReader reader(text); !reader.done(); first = false) {
    const bool origin = reader.foreign();
    const char32_t c = reader.next();
    std::u32string mapped;
    switch (to) {
      case 'u':
        mapped = to_upper(c);
        break;
      case 'l':
        mapped = to_lower(c);
        break;
      case 'f':
        mapped = to_folded(c);
        break;
      case 's':
        mapped = is_upper(c) ? to_lower(c) : is_lower(c) ? to_upper(c) : std::u32string(1, c);
        break;
      case 'c':
        mapped = first ? to_title(c) : to_lower(c);
        break;
      default:
        mapped = in_word ? to_lower(c) : to_title(c);
        in_word = is_cased(c);
        break;
    }
    if (c == 0x3A3 && !first && (to == 'l' || to == 'c' || to == 't') && reader.done()) mapped.assign(1, U'\u03C2');
    if (origin != piece_origin || piece.size() > 4096) {
      out.append(piece, piece_origin);
      piece.clear();
      piece_origin = origin;
    }
    for (const char32_t m : mapped) append_utf8(piece, m);
  }
  out.append(piece, piece_origin);
  return out.finish();
}

TextPtr centered(Budget& budget, const Text& text, std::int64_t width, std::string_view fill) {
  const auto length = static_cast<std::int64_t>(text.length());
  const std::int64_t margin = std::max<std::int64_t>(width - length, 0);
  const std::int64_t left = margin / 2 + (margin & width & 1);
  TextBuilder out(budget);
  out.repeat(fill, static_cast<std::size_t>(left), false);
  out.append(text);
  out.repeat(fill, static_cast<std::size_t>(margin - left), false);
  return out.finish();
}

std::vector<std::pair<std::size_t, std::size_t>> line_ranges(const Text& text, bool keep_ends) {
  std::vector<std::pair<std::size_t, std::size_t>> lines;
  const std::string& bytes = text.bytes();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = at;
    const char32_t c = next_code_point(bytes, at);
    const bool breaks = (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!breaks) continue;
    if (c == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    lines.emplace_back(begin, keep_ends ? at : end);
    begin = at;
  }
  if (begin < bytes.size()) lines.emplace_back(begin, bytes.size());
  return lines;
}

Values split_on_space(Heap& heap, const TextPtr& text, std::int64_t most) {
  const std::string& bytes = text->bytes();
  Values parts;
  std::size_t at = 0;
  heap.budget().scan(bytes.size());
  const auto skip = [&](bool space) {
    while (at < bytes.size()) {
      std::size_t next = at;
      if (is_space(next_code_point(bytes, next)) != space) break;
      at = next;
    }
  };
  for (;;) {
    skip(true);
    if (at >= bytes.size()) return parts;
    const std::size_t begin = at;
    heap.budget().step();
    if (most >= 0 && static_cast<std::int64_t>(parts.size()) >= most) {
      parts.emplace_back(slice(heap.budget(), text, begin, bytes.size()));
      return parts;
    }
    skip(false);
    parts.emplace_back(slice(heap.budget(), text, begin, at));
  }
}

namespace {

Value as_text(const Value& self, TextPtr text) {
  return Value(std::move(text), self.markup());
}

template <char to>
Value case_method(Interpreter& in, const Value& self, const Call& call) {
  call.check("str method", {});
  return as_text(self, map_case(in.budget(), *self.text(), to));
}

template <bool left, bool right>
Value strip_method(Interpreter& in, const Value& self, const Call& call) {
  call.check("strip", {"chars"});
  return as_text(self, strip(in.budget(), self.text(), call.get(0, "chars"), left, right));
}

Value split(Interpreter& in, const Value& self, const Call& call) {
  call.check("split", {"sep", "maxsplit"});
  const Value* separator = call.get(0, "sep");
  const Value* limit = call.get(1, "maxsplit");
  const std::int64_t most = limit == nullptr ? -1 : to_index(*limit, "split");
  Heap& heap = in.heap();
  if (separator == nullptr || separator->is_none()) return heap.list(split_on_space(heap, self.text(), most));
  const std::string& by = string_argument(*separator, "split").bytes();
  if (by.empty()) fail("empty separator");
  const std::string& bytes = self.bytes();
  in.budget().scan(bytes.size());
  Values parts;
  std::size_t at = 0;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = find_bytes(bytes, by, at);
    if (found == std::string::npos) break;
    in.budget().step();
    parts.emplace_back(slice(in.budget(), self.text(), at, found), self.markup());
    at = found + by.size();
  }
  parts.emplace_back(slice(in.budget(), self.text(), at, bytes.size()), self.markup());
  return heap.list(std::move(parts));
}

// Last occurrence that ends at or before `end`. Costs steps for bytes compared.
std::size_t find_last(Budget& budget, std::string_view text, std::string_view wanted, std::size_t end) {
  if (wanted.size() > end) return std::string::npos;
  budget.step(1 +
              end / 64 * std::max<std::size_t>(1, std::min<std::size_t>(wanted.size(), end - wanted.size() + 1) / 64));
  return text.substr(0, end).rfind(wanted);
}

Value rsplit(Interpreter& in, const Value& self, const Call& call) {
  call.check("rsplit", {"sep", "maxsplit"});
  const Value* separator = call.get(0, "sep");
  const Value* limit = call.get(1, "maxsplit");
  const std::int64_t most = limit == nullptr ? -1 : to_index(*limit, "rsplit");
  if (most < 0) return split(in, self, call);
  const std::string& bytes = self.bytes();
  Values parts;
  std::size_t end = bytes.size();
  if (separator == nullptr || separator->is_none()) {
    Values words = split_on_space(in.heap(), self.text(), -1);
    const auto n = static_cast<std::int64_t>(words.size());
    if (n <= most) return in.heap().list(std::move(words));
    // The first part keeps the white space within it.
    TextPtr rest = strip(in.budget(), self.text(), nullptr, false, true);
    for (std::int64_t i = 0; i < most; ++i) {
      const Value& word = words[static_cast<std::size_t>(n - 1 - i)];
      parts.push_back(word);
      rest = slice(in.budget(), rest, 0, rest->bytes().size() - word.bytes().size());
      rest = strip(in.budget(), rest, nullptr, false, true);
    }
    parts.emplace_back(rest);
  } else {
    const std::string& by = string_argument(*separator, "rsplit").bytes();
    if (by.empty()) fail("empty separator");
    while (static_cast<std::int64_t>(parts.size()) < most) {
      const std::size_t found = find_last(in.budget(), bytes, by, end);
      if (found == std::string::npos) break;
      parts.emplace_back(slice(in.budget(), self.text(), found + by.size(), end), self.markup());
      end = found;
    }
    parts.emplace_back(slice(in.budget(), self.text(), 0, end), self.markup());
  }
  std::reverse(parts.begin(), parts.end());
  return in.heap().list(std::move(parts));
}

Value splitlines(Interpreter& in, const Value& self, const Call& call) {
  call.check("splitlines", {"keepends"});
  const bool keep = truth(call.get(0, "keepends", Value(false)));
  in.budget().scan(self.bytes().size() * 4);
  Values lines;
  for (const auto& [begin, end] : line_ranges(*self.text(), keep)) {
    in.budget().step();
    lines.emplace_back(slice(in.budget(), self.text(), begin, end), self.markup());
  }
  return in.heap().list(std::move(lines));
}

// The byte range that the optional start and end arguments (code points) name; false if it is empty by start > end.
bool range_of(const Value& self, const Call& call, std::size_t& begin, std::size_t& end) {
  const auto size = static_cast<std::int64_t>(self.text()->length());
  const auto bound = [&](const Value* value, std::int64_t fallback) {
    if (value == nullptr || value->is_none()) return fallback;
    std::int64_t i = to_index(*value, "index");
    return i < 0 ? std::max<std::int64_t>(i + size, 0) : i;
  };
  const std::int64_t first = bound(call.get(1, "start"), 0), last = std::min(bound(call.get(2, "end"), size), size);
  if (first > last) return false;
  begin = self.text()->offset(static_cast<std::size_t>(first));
  end = self.text()->offset(static_cast<std::size_t>(last));
  return true;
}

template <bool ends>
Value affix(Interpreter& in, const Value& self, const Call& call) {
  call.check(ends ? "endswith" : "startswith", {"prefix", "start", "end"});
  std::size_t begin = 0, end = 0;
  if (!range_of(self, call, begin, end)) return Value(false);
  const std::string_view text = std::string_view(self.bytes()).substr(begin, end - begin);
  const auto matches = [&](const Value& value) {
    const std::string& part = string_argument(value, ends ? "endswith" : "startswith").bytes();
    in.budget().step();
    if (part.size() > text.size()) return false;
    return text.substr(ends ? text.size() - part.size() : 0, part.size()) == part;
  };
  const Value& wanted = call.need(0, "prefix");
  if (!wanted.is(Kind::tuple)) return Value(matches(wanted));
  for (const Value& one : wanted.list().items) {
    if (matches(one)) return Value(true);
  }
  return Value(false);
}

template <bool from_end, bool required>
Value find_method_of(Interpreter& in, const Value& self, const Call& call) {
  call.check("find", {"sub", "start", "end"});
  const std::string& wanted = string_argument(call.need(0, "sub"), "find").bytes();
  std::size_t begin = 0, end = 0, found = std::string::npos;
  if (range_of(self, call, begin, end)) {
    const std::string_view text = std::string_view(self.bytes()).substr(0, end);
    in.budget().scan(text.size());
    found = from_end ? find_last(in.budget(), text, wanted, end) : find_bytes(text, wanted, begin);
    if (found != std::string::npos && found < begin) found = std::string::npos;
  }
  if (found == std::string::npos) {
    if (required) fail("substring not found");
    return Value(Integer{-1});
  }
  return Value(static_cast<Integer>(count_code_points(std::string_view(self.bytes()).substr(0, found))));
}

Value count(Interpreter& in, const Value& self, const Call& call) {
  call.check("count", {"sub", "start", "end"});
  const std::string& wanted = string_argument(call.need(0, "sub"), "count").bytes();
  std::size_t begin = 0, end = 0;
  if (!range_of(self, call, begin, end)) return Value(Integer{0});
  const std::string_view text = std::string_view(self.bytes()).substr(0, end);
  in.budget().scan(text.size());
  if (wanted.empty()) return Value(static_cast<Integer>(count_code_points(text.substr(begin)) + 1));
  Integer n = 0;
  for (std::size_t at = begin; (at = find_bytes(text, wanted, at)) != std::string::npos; at += wanted.size()) {
    ++n;
    if (n % 16 == 0) in.budget().step();
  }
  return Value(n);
}

Value replace_method(Interpreter& in, const Value& self, const Call& call) {
  call.check("replace", {"old", "new", "count"});
  const Value& old = string_argument(call.need(0, "old"), "replace");
  const Value& with = string_argument(call.need(1, "new"), "replace");
  const std::int64_t most = to_index(call.get(2, "count", Value(Integer{-1})), "replace");
  return as_text(self, replace(in.budget(), self.text(), *old.text(), *with.text(), most));
}

Value join_strings(Interpreter& in, const Value& self, const Call& call) {
  call.check("join", {"iterable"});
  TextBuilder out(in.budget());
  bool first = true;
  std::size_t position = 0;
  for (const Value& item : iterate(in.heap(), call.need(0, "iterable"))) {
    if (item.is_undefined()) fail_undefined(item);
    if (!item.is_string()) {
      fail(fmt::format("sequence item {}: expected str instance, {} found", position, type_name(item)));
    }
    if (!first) out.append(*self.text());
    first = false;
    ++position;
    out.append(*item.text());
  }
  return as_text(self, out.finish());
}

template <bool from_end>
Value partition(Interpreter& in, const Value& self, const Call& call) {
  call.check("partition", {"sep"});
  const Value& separator = string_argument(call.need(0, "sep"), "partition");
  const std::string &by = separator.bytes(), &bytes = self.bytes();
  if (by.empty()) fail("empty separator");
  in.budget().scan(bytes.size());
  const std::size_t found = from_end ? find_last(in.budget(), bytes, by, bytes.size()) : find_bytes(bytes, by, 0);
  const Value empty = Value::literal("");
  if (found == std::string::npos)
    return in.heap().tuple(from_end ? Values{empty, empty, self} : Values{self, empty, empty});
  return in.heap().tuple({Value(slice(in.budget(), self.text(), 0, found)),
                          Value(slice(in.budget(), self.text(), found, found + by.size())),
                          Value(slice(in.budget(), self.text(), found + by.size(), bytes.size()))});
}

template <bool ends>
Value remove_affix(Interpreter& in, const Value& self, const Call& call) {
  call.check("removeprefix", {"prefix"});
  const std::string& part = string_argument(call.need(0, "prefix"), "removeprefix").bytes();
  const std::string_view text = self.bytes();
  if (part.size() > text.size() || text.substr(ends ? text.size() - part.size() : 0, part.size()) != part) return self;
  return as_text(self, ends ? slice(in.budget(), self.text(), 0, text.size() - part.size())
                            : slice(in.budget(), self.text(), part.size(), text.size()));
}

template <char side>
Value justify(Interpreter& in, const Value& self, const Call& call) {
  call.check("just", {"width", "fillchar"});
  const std::int64_t width = to_index(call.need(0, "width"), "width");
  const Value fill = call.get(1, "fillchar", Value::literal(" "));
  if (string_argument(fill, "fillchar").text()->length() != 1) {
    fail("the fill character must be exactly one character long");
  }
  if (side == 'c') return as_text(self, centered(in.budget(), *self.text(), width, fill.bytes()));
  const auto missing = std::max<std::int64_t>(width - static_cast<std::int64_t>(self.text()->length()), 0);
  TextBuilder out(in.budget());
  if (side == 'r') out.repeat(fill.bytes(), static_cast<std::size_t>(missing), false);
  out.append(*self.text());
  if (side == 'l') out.repeat(fill.bytes(), static_cast<std::size_t>(missing), false);
  return as_text(self, out.finish());
}

Value zfill(Interpreter& in, const Value& self, const Call& call) {
  call.check("zfill", {"width"});
  const std::int64_t width = to_index(call.need(0, "width"), "zfill");
  const std::string& bytes = self.bytes();
  const bool sign = !bytes.empty() && (bytes[0] == '-' || bytes[0] == '+');
  const auto missing = std::max<std::int64_t>(width - static_cast<std::int64_t>(self.text()->length()), 0);
  TextBuilder out(in.budget());
  out.append(*self.text(), 0, sign ? 1 : 0);
  out.repeat("0", static_cast<std::size_t>(missing), false);
  out.append(*self.text(), sign ? 1 : 0, bytes.size());
  return as_text(self, out.finish());
}

Value expandtabs(Interpreter& in, const Value& self, const Call& call) {
  call.check("expandtabs", {"tabsize"});
  const std::int64_t size = to_index(call.get(0, "tabsize", Value(Integer{8})), "expandtabs");
  TextBuilder out(in.budget());
  std::int64_t column = 0;
  for (TextReader reader(*self.text()); !reader.done();) {
    const bool origin = reader.foreign();
    const char32_t c = reader.next();
    if (c == '\t') {
      const std::int64_t n = size > 0 ? size - column % size : 0;
      out.repeat(" ", static_cast<std::size_t>(n), origin);
      column += n;
    } else {
      out.append(c, origin);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return as_text(self, out.finish());
}

template <bool (*predicate)(char32_t), bool of_empty>
Value all_are(Interpreter& in, const Value& self, const Call& call) {
  call.check("str predicate", {});
  in.budget().scan(self.bytes().size());
  for (TextReader reader(*self.text()); !reader.done();) {
    if (!predicate(reader.next())) return Value(false);
  }
  return Value(of_empty || !self.bytes().empty());
}

bool is_alphanumeric(char32_t c) {
  return is_alpha(c) || is_numeric(c);
}
bool is_ascii(char32_t c) {
  return c < 0x80;
}

template <bool upper>
Value is_case(Interpreter& in, const Value& self, const Call& call) {
  call.check("str predicate", {});
  in.budget().scan(self.bytes().size());
  bool any = false;
  for (TextReader reader(*self.text()); !reader.done();) {
    const char32_t c = reader.next();
    if (!is_cased(c)) continue;
    if (upper ? !is_upper(c) : !is_lower(c)) return Value(false);
    any = true;
  }
  return Value(any);
}

Value is_title(Interpreter& in, const Value& self, const Call& call) {
  call.check("istitle", {});
  in.budget().scan(self.bytes().size());
  bool any = false, in_word = false;
  for (TextReader reader(*self.text()); !reader.done();) {
    const char32_t c = reader.next();
    if ((is_lower(c) && !in_word) || (is_cased(c) && !is_lower(c) && in_word)) return Value(false);
    in_word = is_cased(c);
    any |= in_word;
  }
  return Value(any);
}

Value is_identifier(Interpreter& in, const Value& self, const Call& call) {
  call.check("isidentifier", {});
  in.budget().scan(self.bytes().size());
  bool first = true;
  for (TextReader reader(*self.text()); !reader.done(); first = false) {
    const char32_t c = reader.next();
    if (!is_identifier_part(c) || (first && is_numeric(c))) return Value(false);
  }
  return Value(!first);
}

Value format_method(Interpreter& in, const Value& self, const Call& call) {
  return format_braces(in, self, call);
}

Value format_map(Interpreter& in, const Value& self, const Call& call) {
  call.check("format_map", {"mapping"});
  const Value& mapping = call.need(0, "mapping");
  if (!mapping.is(Kind::dict)) fail("format_map expects a mapping");
  Call named;
  for (const auto& [key, value] : mapping.dict().entries()) {
    if (key.is_string()) named.named.emplace_back(key.bytes(), value);
  }
  return format_braces(in, self, named);
}

Value no_bytes(Interpreter&, const Value&, const Call&) {
  fail("str.encode is not supported: there are no bytes");
}

}  // namespace

Method find_string_method(std::string_view name) {
  static constexpr std::pair<std::string_view, Method> methods[] = {
      {"capitalize", case_method<'c'>},
      {"casefold", case_method<'f'>},
      {"center", justify<'c'>},
      {"count", count},
      {"encode", no_bytes},
      {"endswith", affix<true>},
      {"expandtabs", expandtabs},
      {"find", find_method_of<false, false>},
      {"format", format_method},
      {"format_map", format_map},
      {"index", find_method_of<false, true>},
      {"isalnum", all_are<is_alphanumeric, false>},
      {"isalpha", all_are<is_alpha, false>},
      {"isascii", all_are<is_ascii, true>},
      {"isdecimal", all_are<is_decimal, false>},
      {"isdigit", all_are<is_digit, false>},
      {"isidentifier", is_identifier},
      {"islower", is_case<false>},
      {"isnumeric", all_are<is_numeric, false>},
      {"isprintable", all_are<is_printable, true>},
      {"isspace", all_are<is_space, false>},
      {"istitle", is_title},
      {"isupper", is_case<true>},
      {"join", join_strings},
      {"ljust", justify<'l'>},
      {"lower", case_method<'l'>},
      {"lstrip", strip_method<true, false>},
      {"maketrans", make_translation},
      {"partition", partition<false>},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"replace", replace_method},
      {"rfind", find_method_of<true, false>},
      {"rindex", find_method_of<true, true>},
      {"rjust", justify<'r'>},
      {"rpartition", partition<true>},
      {"rsplit", rsplit},
      {"rstrip", strip_method<false, true>},
      {"split", split},
      {"splitlines", splitlines},
      {"startswith", affix<false>},
      {"strip", strip_method<true, true>},
      {"swapcase", case_method<'s'>},
      {"title", case_method<'t'>},
      {"translate", translate},
      {"upper", case_method<'u'>},
      {"zfill", zfill},
  };
  for (const auto& [known, method] : methods) {
    if (known == name) return method;
  }
  return nullptr;
}

}  // namespace llm::chat
