#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include <llm/error.hpp>

#include "sampling/constraint/syntax.h"

namespace llm::sampling {
namespace {

const CodePointSet& digits() {
  static const CodePointSet set = {{'0', '9'}};
  return set;
}
const CodePointSet& word() {
  static const CodePointSet set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CodePointSet& space() {
  static const CodePointSet set = {{9, 13},          {32, 32},         {0xa0, 0xa0},     {0x1680, 0x1680},
                                   {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                   {0x3000, 0x3000}, {0xfeff, 0xfeff}};
  return set;
}
const CodePointSet& line_ends() {
  static const CodePointSet set = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return set;
}

// The code points of every general category, by its name ("Lu").
const std::map<std::string_view, std::vector<CodePointRange>>& categories() {
  static const auto all = [] {
    std::map<std::string_view, std::vector<CodePointRange>> ranges;
    for (std::uint32_t c = 0; c < 0x110000; ++c) {
      std::vector<CodePointRange>& of = ranges[utf8proc_category_string(static_cast<utf8proc_int32_t>(c))];
      if (!of.empty() && of.back().high + 1 == c) {
        of.back().high = c;
      } else {
        of.push_back({c, c});
      }
    }
    return ranges;
  }();
  return all;
}

// A general category ("Lu") or the first letter of several ("L").
std::optional<CodePointSet> category(std::string_view name) {
  if (name == "Letter") name = "L";
  if (name == "Number" || name == "digit") name = name == "digit" ? "Nd" : "N";
  std::vector<CodePointRange> ranges;
  for (const auto& [known, of] : categories()) {
    if (known == name || known.substr(0, 1) == name) ranges.insert(ranges.end(), of.begin(), of.end());
  }
  if (ranges.empty()) return std::nullopt;
  return CodePointSet::of(std::move(ranges));
}

// Ranges of all classes of a pattern together.
constexpr std::size_t max_class_ranges = 500'000;

class RegexParser {
 public:
  explicit RegexParser(std::string_view text) : text_(text) {}

  Syntax parse() {
    if (text_.size() > max_source) fail(fmt::format("{} bytes, at most {} are accepted", text_.size(), max_source));
    syntax_.root = parse_choice(0);
    if (at_ < text_.size()) fail("a ')' without '('");
    return std::move(syntax_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::usage, fmt::format("regex: column {}: {}", at_ + 1, what));
  }
  CodePointSet counted(CodePointSet set) {
    n_class_ranges_ += set.ranges().size();
    if (n_class_ranges_ > max_class_ranges) {
      fail(fmt::format("classes with more than {} ranges together", max_class_ranges));
    }
    return set;
  }
  bool done() const { return at_ == text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  std::uint32_t take_code_point() {
    std::uint32_t c = 0;
    if (done()) fail("the pattern ends too early");
    if (!next_code_point(text_, at_, c)) fail("bytes that are not UTF-8");
    return c;
  }

  std::uint32_t parse_choice(int depth) {
    if (depth > max_nesting) fail(fmt::format("groups nested deeper than {}", max_nesting));
    Expr choice{.kind = Expr::Kind::choice};
    do {
      choice.items.push_back(parse_sequence(depth));
    } while (take("|"));
    return choice.items.size() == 1 ? choice.items.front() : syntax_.add(std::move(choice));
  }

  std::uint32_t parse_sequence(int depth) {
    Expr sequence;
    while (!done() && peek() != '|' && peek() != ')') sequence.items.push_back(parse_repeat(depth));
    return syntax_.add(std::move(sequence));
  }

  std::uint32_t parse_repeat(int depth) {
    std::uint32_t node = parse_atom(depth);
    bool repeated = false;
    while (!done()) {
      std::uint32_t min = 0, max = unlimited;
      if (take("*")) {
      } else if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (peek() != '{' || !parse_bounds(min, max)) {
        break;
      }
      if (repeated) fail("a quantifier after a quantifier");
      repeated = true;
      take("?");  // a lazy quantifier has the same language
      if (peek() == '+') fail("a possessive quantifier is not supported");
      node = syntax_.add_repeat(node, min, max);
    }
    return node;
  }

  std::optional<std::uint32_t> parse_number() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    std::uint64_t n = 0;
    while (peek() >= '0' && peek() <= '9') {
      n = n * 10 + static_cast<std::uint64_t>(text_[at_++] - '0');
      if (n > max_repeat) fail(fmt::format("a repetition above {}", max_repeat));
    }
    return static_cast<std::uint32_t>(n);
  }

  // {m}, {m,} or {m,n}. Anything else is a literal brace.
  bool parse_bounds(std::uint32_t& min, std::uint32_t& max) {
    const std::size_t begin = at_++;
    const std::optional<std::uint32_t> low = parse_number();
    std::optional<std::uint32_t> high = low;
    if (low && take(",")) high = peek() == '}' ? unlimited : parse_number();
    if (!low || !high || !take("}")) {
      at_ = begin;
      return false;
    }
    if (*low > *high) fail(fmt::format("the repetition {{{},{}}} has its bounds the wrong way round", *low, *high));
    min = *low;
    max = *high;
    return true;
  }

  std::uint32_t parse_atom(int depth) {
    if (take("(")) {
      if (take("?")) {
        if (take("<") || take("P<")) {
          if (peek() == '=' || peek() == '!') fail("look-behind is not supported");
          const std::size_t end = text_.find('>', at_);
          if (end == std::string_view::npos) fail("a group name without '>'");
          at_ = end + 1;
        } else if (!take(":")) {
          fail(peek() == '=' || peek() == '!' ? "look-ahead is not supported" : "group flags are not supported");
        }
      }
      const std::uint32_t node = parse_choice(depth + 1);
      if (!take(")")) fail("a '(' without ')'");
      return node;
    }
    if (take("[")) return syntax_.add_set(parse_class());
    if (take(".")) return syntax_.add_set(line_ends().complement());
    if (take("^")) return syntax_.add({.kind = Expr::Kind::begin});
    if (take("$")) return syntax_.add({.kind = Expr::Kind::end});
    if (take("\\")) {
      if (peek() == 'b' || peek() == 'B') fail("a word boundary is not supported");
      if (peek() == 'A') return ++at_, syntax_.add({.kind = Expr::Kind::begin});
      if (peek() == 'z' || peek() == 'Z') return ++at_, syntax_.add({.kind = Expr::Kind::end});
      if ((peek() >= '1' && peek() <= '9') || peek() == 'k') fail("a back reference is not supported");
      return syntax_.add_set(parse_escape(false));
    }
    if (peek() == '*' || peek() == '+' || peek() == '?') fail("a quantifier with nothing to repeat");
    const std::uint32_t c = take_code_point();
    return syntax_.add_set({{c, c}});
  }

  std::uint32_t parse_hex(std::size_t n_digits) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail(fmt::format("an escape needs {} hexadecimal digits", n_digits));
      value = value * 16 + static_cast<std::uint32_t>(digit);
      ++at_;
    }
    return value;
  }

  // After the backslash.
  CodePointSet parse_escape(bool in_class) {
    const std::uint32_t c = take_code_point();
    const auto one = [](std::uint32_t code) { return CodePointSet{{code, code}}; };
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return word();
      case 'W':
        return word().complement();
      case 's':
        return space();
      case 'S':
        return space().complement();
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'a':
        return one('\a');
      case 'e':
        return one(0x1b);
      case '0':
        return one(0);
      case 'b':
        if (in_class) return one('\b');
        break;
      case 'c': {
        const std::uint32_t letter = take_code_point();
        if (letter > 127) fail("a control escape needs a letter");
        return one(letter & 31);
      }
      case 'x':
        return one(parse_hex(2));
      case 'u':
        return one(parse_unicode());
      case 'p':
      case 'P': {
        std::string name;
        if (take("{")) {
          while (!done() && peek() != '}') name += text_[at_++];
          if (!take("}")) fail("a property without '}'");
        } else {
          append_utf8(name, take_code_point());
        }
        const std::optional<CodePointSet> set = category(name);
        if (!set) fail(fmt::format("the property '{}' is not supported", name));
        return counted(c == 'p' ? *set : set->complement());
      }
      default:
        break;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9')) {
      fail(fmt::format("the escape '\\{}' is not supported", static_cast<char>(c)));
    }
    return one(c);
  }

  std::uint32_t parse_unicode() {
    if (take("{")) {
      std::uint32_t value = 0;
      std::size_t n = 0;
      while (!done() && peek() != '}' && n++ < 6) value = value * 16 + parse_hex(1);
      if (!take("}") || n == 0 || value > 0x10ffff) fail("expected \\u{...} with a code point");
      return value;
    }
    const std::uint32_t value = parse_hex(4);
    if (value >= 0xd800 && value < 0xdc00 && take("\\u")) {
      const std::uint32_t low = parse_hex(4);
      if (low < 0xdc00 || low > 0xdfff) fail("a surrogate without its partner");
      return 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
    }
    return value;
  }

  // After the opening bracket.
  CodePointSet parse_class() {
    const bool negated = take("^");
    std::vector<CodePointRange> items;
    while (true) {
      if (done()) fail("a '[' without ']'");
      if (take("]")) break;
      const std::optional<std::uint32_t> low = parse_class_item(items);
      if (!low) continue;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const std::optional<std::uint32_t> high = parse_class_item(items);
        if (!high) {  // [a-\d]: three separate items
          items.push_back({*low, *low});
          items.push_back({'-', '-'});
          continue;
        }
        if (*high < *low) fail("a range with its ends the wrong way round");
        items.push_back({*low, *high});
      } else {
        items.push_back({*low, *low});
      }
    }
    const CodePointSet set = counted(CodePointSet::of(std::move(items)));
    return negated ? set.complement() : set;
  }

  // A single character, or nothing after a class such as \d has been added.
  std::optional<std::uint32_t> parse_class_item(std::vector<CodePointRange>& items) {
    if (take("\\")) {
      const CodePointSet escaped = parse_escape(true);
      const std::vector<CodePointRange>& r = escaped.ranges();
      if (r.size() == 1 && r[0].low == r[0].high) return r[0].low;
      items.insert(items.end(), r.begin(), r.end());
      return std::nullopt;
    }
    return take_code_point();
  }

  std::string_view text_;
  std::size_t at_ = 0, n_class_ranges_ = 0;
  Syntax syntax_;
};

}  // namespace

Syntax parse_regex(std::string_view pattern) {
  return RegexParser(pattern).parse();
}

}  // namespace llm::sampling
