#include <algorithm>

#include <fmt/format.h>

#include "chat/interpreter.h"
#include "chat/string_methods.h"
#include "chat/unicode.h"

namespace llm::chat {

TextPtr escape_html(Budget& budget, const Text& text) {
  TextBuilder out(budget);
  std::size_t plain = 0;
  const std::string& bytes = text.bytes();
  budget.scan(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    const std::string_view escaped = c == '&'    ? "&amp;"
                                     : c == '<'  ? "&lt;"
                                     : c == '>'  ? "&gt;"
                                     : c == '"'  ? "&#34;"
                                     : c == '\'' ? "&#39;"
                                                 : "";
    if (escaped.empty()) continue;
    out.append(text, plain, at);
    const auto run =
        std::partition_point(text.runs().begin(), text.runs().end(), [&](const Run& r) { return r.end <= at; });
    out.append(escaped, run->foreign);
    plain = at + 1;
  }
  out.append(text, plain, bytes.size());
  return out.finish();
}

namespace {

// Filters that Python writes with methods of str fail on everything else.
const Value& need_string(const Value& input, std::string_view filter) {
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_string()) fail(fmt::format("{}: expected a string, found '{}'", filter, type_name(input)));
  return input;
}

Value keep(const Value& input, TextPtr text) {
  return Value(std::move(text), input.markup());
}

template <char to>
Value in_case(Interpreter& in, const Value& input, const Call& call) {
  call.check("case filter", {});
  return keep(input, map_case(in.budget(), *in.text_of(input), to));
}

// The first letter of each word, where words are separated by white space and - ( { [ <.
Value title(Interpreter& in, const Value& input, const Call& call) {
  call.check("title", {});
  const TextPtr text = in.text_of(input);
  TextBuilder out(in.budget());
  bool at_start = true;
  for (TextReader reader(*text); !reader.done();) {
    const bool origin = reader.foreign();
    const char32_t c = reader.next();
    const bool separates = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    for (const char32_t m : at_start ? to_upper(c) : to_lower(c)) out.append(m, origin);
    at_start = separates;
  }
  return keep(input, out.finish());
}

Value trim(Interpreter& in, const Value& input, const Call& call) {
  call.check("trim", {"chars"});
  return keep(input, strip(in.budget(), in.text_of(input), call.get(0, "chars"), true, true));
}

Value replace_filter(Interpreter& in, const Value& input, const Call& call) {
  call.check("replace", {"old", "new", "count"});
  const Value count = call.get(2, "count", Value::none());
  return Value(replace(in.budget(), in.text_of(input), *in.text_of(call.need(0, "old")),
                       *in.text_of(call.need(1, "new")), count.is_none() ? -1 : to_index(count, "replace")));
}

Value center(Interpreter& in, const Value& input, const Call& call) {
  call.check("center", {"width"});
  const std::int64_t width = to_index(call.get(0, "width", Value(Integer{80})), "center");
  return keep(input, centered(in.budget(), *in.text_of(input), width, " "));
}

Value indent(Interpreter& in, const Value& input, const Call& call) {
  call.check("indent", {"width", "first", "blank"});
  const Value width = call.get(0, "width", Value(Integer{4}));
  TextBuilder margin(in.budget());
  if (width.is_string()) {
    margin.append(*width.text());
  } else {
    margin.repeat(" ", static_cast<std::size_t>(std::max<std::int64_t>(to_index(width, "indent"), 0)), false);
  }
  const TextPtr before = margin.finish();
  const TextPtr text = need_string(input, "indent").text();
  in.budget().scan(text->bytes().size() * 4);
  auto lines = line_ranges(*text, false);
  const std::string& bytes = text->bytes();
  // The text counts as ending in one more newline: a text that ends in one has an empty last line.
  if (bytes.empty() || line_ranges(*text, true).back().second != lines.back().second) {
    lines.emplace_back(bytes.size(), bytes.size());
  }
  const bool blank = truth(call.get(2, "blank", Value(false)));
  TextBuilder out(in.budget());
  if (truth(call.get(1, "first", Value(false)))) out.append(*before);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    in.budget().step();
    if (i > 0) {
      out.append("\n", false);
      if (blank || lines[i].first != lines[i].second) out.append(*before);
    }
    out.append(*text, lines[i].first, lines[i].second);
  }
  return keep(input, out.finish());
}

Value truncate(Interpreter& in, const Value& input, const Call& call) {
  call.check("truncate", {"length", "killwords", "end", "leeway"});
  const std::int64_t length = to_index(call.get(0, "length", Value(Integer{255})), "truncate");
  const Value end = call.get(2, "end", Value::literal("..."));
  const Value leeway = call.get(3, "leeway", Value::none());
  const std::int64_t slack = leeway.is_none() ? 5 : to_index(leeway, "truncate");
  const TextPtr tail = in.text_of(end);
  const auto end_length = static_cast<std::int64_t>(tail->length());
  if (length < end_length) fail(fmt::format("truncate: expected length >= {}, got {}", end_length, length));
  if (slack < 0) fail("truncate: expected leeway >= 0");
  const std::int64_t n = length_of(input);
  if (n < 0) fail(fmt::format("object of type '{}' has no len()", type_name(input)));
  if (n <= length + slack) return input;
  const TextPtr text = need_string(input, "truncate").text();
  std::size_t stop = text->offset(static_cast<std::size_t>(length - end_length));
  if (!truth(call.get(1, "killwords", Value(false)))) {
    const std::size_t space = std::string_view(text->bytes()).substr(0, stop).rfind(' ');
    if (space != std::string::npos) stop = space;
  }
  TextBuilder out(in.budget());
  out.append(*text, 0, stop);
  out.append(*tail);
  return keep(input, out.finish());
}

Value word_count(Interpreter& in, const Value& input, const Call& call) {
  call.check("wordcount", {});
  const TextPtr text = in.text_of(input);
  in.budget().scan(text->bytes().size());
  Integer n = 0;
  bool in_word = false;
  for (TextReader reader(*text); !reader.done();) {
    const bool part = is_identifier_part(reader.next());
    n += part && !in_word;
    in_word = part;
  }
  return Value(n);
}

// A piece of a line that is kept together when it is wrapped: white space, or a word up to a hyphen within it.
struct Chunk {
  std::size_t begin, end, length;
  bool blank;
};

std::vector<Chunk> chunks_of(const Text& text, std::size_t begin, std::size_t end, bool on_hyphens) {
  std::vector<Chunk> chunks;
  const std::string& bytes = text.bytes();
  char32_t before = 0, before_that = 0;
  for (std::size_t at = begin; at < end;) {
    const std::size_t start = at;
    const char32_t c = next_code_point(bytes, at);
    const bool blank = c == ' ' || (c >= 9 && c <= 13);
    bool fresh = chunks.empty() || chunks.back().blank != blank;
    if (!fresh && !blank && on_hyphens && before == '-' && is_alpha(c) && is_alpha(before_that)) fresh = true;
    if (fresh) chunks.push_back({start, start, 0, blank});
    chunks.back().end = at;
    ++chunks.back().length;
    before_that = before;
    before = c;
  }
  return chunks;
}

class Wrapper {
 public:
  Wrapper(TextBuilder& out, const Text& text, std::size_t width, bool breaks_words, bool on_hyphens,
          const Text& newline)
      : out_(out),
        text_(text),
        width_(width),
        breaks_words_(breaks_words),
        on_hyphens_(on_hyphens),
        newline_(newline) {}

  void line(std::vector<Chunk> chunks, bool is_first) {
    first_ = is_first;
    std::size_t i = 0;
    bool any_line = false;
    while (i < chunks.size()) {
      if (chunks[i].blank && any_line && ++i == chunks.size()) break;
      std::size_t length = 0, begin = i;
      while (i < chunks.size() && length + chunks[i].length <= width_) length += chunks[i++].length;
      std::size_t stop = i;
      bool cuts = false;  // the front of a word that is longer than a line; it may be empty
      std::size_t cut_end = 0;
      if (i < chunks.size() && chunks[i].length > width_) {
        if (breaks_words_) {
          cuts = true;
          cut_end = front_of(chunks[i], width_ - length);
        } else if (length == 0) {
          stop = ++i;
        }
      }
      // White space before an empty front stays, as in Python's textwrap.
      if (!cuts && stop > begin && chunks[stop - 1].blank) --stop;
      if (stop == begin && !cuts) continue;
      start_line();
      any_line = true;
      if (stop > begin) out_.append(text_, chunks[begin].begin, chunks[stop - 1].end);
      if (cuts) {
        out_.append(text_, chunks[i].begin, cut_end);
        chunks[i].length -=
            count_code_points(std::string_view(text_.bytes()).substr(chunks[i].begin, cut_end - chunks[i].begin));
        chunks[i].begin = cut_end;
        if (chunks[i].length == 0) ++i;
      }
    }
    if (!any_line) start_line();
  }

 private:
  // Where a word is cut so that at most `room` characters stay: behind its last hyphen there, if it has one.
  std::size_t front_of(const Chunk& word, std::size_t room) const {
    std::size_t end = word.begin;
    for (std::size_t k = 0; k < room; ++k) next_code_point(text_.bytes(), end);
    if (!on_hyphens_ || room == 0) return end;
    const std::string_view front = std::string_view(text_.bytes()).substr(word.begin, end - word.begin);
    const std::size_t hyphen = front.rfind('-');
    const bool has_word = hyphen != std::string_view::npos && front.find_first_not_of('-') < hyphen;
    return has_word ? word.begin + hyphen + 1 : end;
  }

  void start_line() {
    if (!first_) out_.append(newline_);
    first_ = false;
  }

  TextBuilder& out_;
  const Text& text_;
  std::size_t width_;
  bool breaks_words_, on_hyphens_;
  const Text& newline_;
  bool first_ = true;
};

Value word_wrap(Interpreter& in, const Value& input, const Call& call) {
  call.check("wordwrap", {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  const std::int64_t width = to_index(call.get(0, "width", Value(Integer{79})), "wordwrap");
  if (width <= 0) fail("wordwrap: the width must be larger than 0");
  const Value given = call.get(2, "wrapstring", Value::none());
  const TextPtr newline = given.is_none() ? Value::literal("\n").text() : in.text_of(given);
  const bool on_hyphens = truth(call.get(3, "break_on_hyphens", Value(true)));
  const TextPtr text = need_string(input, "wordwrap").text();
  in.budget().scan(text->bytes().size() * 16);
  TextBuilder out(in.budget());
  Wrapper wrapper(out, *text, static_cast<std::size_t>(width), truth(call.get(1, "break_long_words", Value(true))),
                  on_hyphens, *newline);
  bool first = true;
  for (const auto& [begin, end] : line_ranges(*text, false)) {
    wrapper.line(chunks_of(*text, begin, end, on_hyphens), first);
    first = false;
  }
  return keep(input, out.finish());
}

Value escape(Interpreter& in, const Value& input, const Call& call) {
  call.check("escape", {});
  if (input.markup()) return input;
  return Value(escape_html(in.budget(), *in.text_of(input)), true);
}

Value force_escape(Interpreter& in, const Value& input, const Call& call) {
  call.check("forceescape", {});
  return Value(escape_html(in.budget(), *in.text_of(input)), true);
}

Value safe(Interpreter& in, const Value& input, const Call& call) {
  call.check("safe", {});
  return Value(in.text_of(input), true);
}

// Without comments and tags, white space joined, the common entities decoded.
Value strip_tags(Interpreter& in, const Value& input, const Call& call) {
  call.check("striptags", {});
  const TextPtr text = in.text_of(input);
  const std::string& bytes = text->bytes();
  in.budget().scan(bytes.size() * 4);
  TextBuilder kept(in.budget());
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t open = std::min(bytes.find('<', at), bytes.size());
    kept.append(*text, at, open);
    at = open;
    if (at == bytes.size()) break;
    const bool comment = bytes.compare(at, 4, "<!--") == 0;
    const std::size_t close = comment ? bytes.find("-->", at + 4) : bytes.find('>', at);
    if (close == std::string::npos) {
      kept.append(*text, at, bytes.size());
      break;
    }
    at = close + (comment ? 3 : 1);
  }
  TextBuilder out(in.budget());
  bool first = true;
  for (const Value& word : split_on_space(in.heap(), kept.finish(), -1)) {
    if (!first) out.append(" ", false);
    first = false;
    out.append(*word.text());
  }
  TextPtr result = out.finish();
  constexpr std::pair<std::string_view, std::string_view> entities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&#34;", "\""}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : entities) {
    const Text old(std::string(entity), false), with(std::string(character), true);
    result = replace(in.budget(), result, old, with, -1);
  }
  return Value(result);
}

void append_quoted(TextBuilder& out, const Text& text, bool in_query) {
  std::size_t run = 0;
  for (std::size_t at = 0; at < text.bytes().size(); ++at) {
    const char c = text.bytes()[at];
    while (text.runs()[run].end <= at) ++run;
    const bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~' || (c == '/' && !in_query);
    if (stays || (c == ' ' && in_query)) {
      out.append(stays ? std::string_view(&c, 1) : "+", text.runs()[run].foreign);
    } else {
      out.append(fmt::format("%{:02X}", static_cast<unsigned char>(c)), text.runs()[run].foreign);
    }
  }
}

Value url_encode(Interpreter& in, const Value& input, const Call& call) {
  call.check("urlencode", {});
  TextBuilder out(in.budget());
  if (input.is_string() || !is_iterable(input)) {
    append_quoted(out, *in.text_of(input), false);
    return Value(out.finish());
  }
  bool first = true;
  const auto pair = [&](const Value& key, const Value& value) {
    if (!first) out.append("&", false);
    first = false;
    append_quoted(out, *in.text_of(key), true);
    out.append("=", false);
    append_quoted(out, *in.text_of(value), true);
  };
  if (input.is(Kind::dict)) {
    for (const auto& [key, value] : input.dict().entries()) pair(key, value);
  } else {
    for (const Value& item : iterate(in.heap(), input)) {
      const Values both = iterate(in.heap(), item);
      if (both.size() != 2) fail("urlencode: expected pairs");
      pair(both[0], both[1]);
    }
  }
  return Value(out.finish());
}

Value xml_attributes(Interpreter& in, const Value& input, const Call& call) {
  call.check("xmlattr", {"autospace"});
  if (!input.is(Kind::dict)) fail(fmt::format("'{}' object has no attribute 'items'", type_name(input)));
  TextBuilder out(in.budget());
  const bool space = truth(call.get(0, "autospace", Value(true)));
  for (const auto& [key, value] : input.dict().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    const TextPtr name = in.text_of(key);
    if (name->bytes().find_first_of(" \t\n\r\f/>=") != std::string::npos) fail("invalid character in attribute name");
    if (out.size() > 0 || space) out.append(" ", false);
    out.append(*escape_html(in.budget(), *name));
    out.append("=\"", false);
    out.append(*escape_html(in.budget(), *in.text_of(value)));
    out.append("\"", false);
  }
  return Value(out.finish());
}

Value format(Interpreter& in, const Value& input, const Call& call) {
  if (!call.positional.empty() && !call.named.empty()) fail("format takes positional or keyword arguments, not both");
  const Value text(in.text_of(input));
  if (call.named.empty()) return format_percent(in.heap(), text, in.heap().tuple(call.positional));
  const Value mapping = in.heap().dict();
  for (const auto& [name, value] : call.named) in.heap().set(mapping.dict(), name, value);
  return format_percent(in.heap(), text, mapping);
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> filters[] = {
      {"capitalize", in_case<'c'>},
      {"center", center},
      {"e", escape},
      {"escape", escape},
      {"forceescape", force_escape},
      {"format", format},
      {"indent", indent},
      {"lower", in_case<'l'>},
      {"replace", replace_filter},
      {"safe", safe},
      {"striptags", strip_tags},
      {"title", title},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", in_case<'u'>},
      {"urlencode", url_encode},
      {"wordcount", word_count},
      {"wordwrap", word_wrap},
      {"xmlattr", xml_attributes},
  };
  for (const auto& [known, filter] : filters) {
    if (known == name) return filter;
  }
  return nullptr;
}

}  // namespace llm::chat
