#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include <llm/error.hpp>

#include "sampling/constraint/syntax.h"

namespace llm::sampling {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

constexpr int max_quantifiers = 4;  // of one element, one after another

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}

  Syntax parse() {
    if (text_.size() > max_source) fail(fmt::format("{} bytes, at most {} are accepted", text_.size(), max_source));
    skip_space(true);
    while (!done()) parse_rule();
    for (const auto& [name, index] : names_) {
      if (!defined_[index]) {
        throw Error(ErrorCode::usage, fmt::format("grammar: rule '{}' is used but not defined", name));
      }
    }
    const auto root = names_.find("root");
    if (root == names_.end())
      throw Error(ErrorCode::usage, "grammar: found no rule 'root', expected one to start with");
    syntax_.root = syntax_.add({.kind = Expr::Kind::rule, .index = root->second});
    return std::move(syntax_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    throw Error(ErrorCode::usage, fmt::format("grammar: line {}, column {}: {}", line, at_ - start + 1, what));
  }
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }

  void skip_space(bool newlines) {
    while (!done()) {
      if (peek() == '#') {
        while (!done() && peek() != '\n') ++at_;
      } else if (peek() == ' ' || peek() == '\t' || (newlines && (peek() == '\n' || peek() == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::uint32_t rule_index(std::string_view name) {
    const auto [found, added] = names_.try_emplace(std::string(name), static_cast<std::uint32_t>(names_.size()));
    if (added) {
      syntax_.rules.push_back(0);
      syntax_.rule_names.emplace_back(name);
      defined_.push_back(false);
    }
    return found->second;
  }

  std::string_view parse_name() {
    const std::size_t begin = at_;
    while (is_name(peek())) ++at_;
    if (at_ == begin) fail(done() ? "the grammar ends where a rule name is expected" : "expected the name of a rule");
    return text_.substr(begin, at_ - begin);
  }

  void parse_rule() {
    const std::uint32_t index = rule_index(parse_name());
    skip_space(false);
    if (!take("::=")) fail("expected '::=' after the name of a rule");
    if (defined_[index]) fail(fmt::format("rule '{}' is defined twice", syntax_.rule_names[index]));
    defined_[index] = true;
    skip_space(true);
    syntax_.rules[index] = parse_choice(0);
    if (!done() && peek() != '\n' && peek() != '\r') fail("expected the end of the rule");
    skip_space(true);
  }

  std::uint32_t parse_choice(int depth) {
    if (depth > max_nesting) fail(fmt::format("groups nested deeper than {}", max_nesting));
    Expr choice{.kind = Expr::Kind::choice};
    choice.items.push_back(parse_sequence(depth));
    while (take("|")) {
      skip_space(true);
      choice.items.push_back(parse_sequence(depth));
    }
    return choice.items.size() == 1 ? choice.items.front() : syntax_.add(std::move(choice));
  }

  std::uint32_t parse_sequence(int depth) {
    Expr sequence;
    while (!done()) {
      std::uint32_t node = 0;
      if (peek() == '"') {
        node = parse_literal();
      } else if (take("[")) {
        node = syntax_.add_set(parse_class());
      } else if (take(".")) {
        node = syntax_.add_set(CodePointSet::all());
      } else if (take("(")) {
        skip_space(true);
        node = parse_choice(depth + 1);
        if (!take(")")) fail("expected ')'");
      } else if (is_name(peek())) {
        node = syntax_.add({.kind = Expr::Kind::rule, .index = rule_index(parse_name())});
      } else {
        break;
      }
      skip_space(depth > 0);
      int n_quantifiers = 0;
      while (std::optional<std::uint32_t> repeated = parse_repeat(node)) {
        node = *repeated;
        if (++n_quantifiers > max_quantifiers) fail("too many quantifiers after one another");
        skip_space(depth > 0);
      }
      sequence.items.push_back(node);
      if (depth > 0) continue;
      // At top level a line that begins with '|' goes on with the rule.
      const std::size_t here = at_;
      skip_space(true);
      if (peek() != '|') at_ = here;
    }
    return syntax_.add(std::move(sequence));
  }

  std::optional<std::uint32_t> parse_repeat(std::uint32_t node) {
    if (take("*")) return syntax_.add_repeat(node, 0, unlimited);
    if (take("+")) return syntax_.add_repeat(node, 1, unlimited);
    if (take("?")) return syntax_.add_repeat(node, 0, 1);
    if (!take("{")) return std::nullopt;
    skip_space(false);
    const std::optional<std::uint32_t> low = parse_number();
    skip_space(false);
    std::optional<std::uint32_t> high = low;
    if (take(",")) {
      skip_space(false);
      high = parse_number();
      if (!high) high = unlimited;
      skip_space(false);
    } else if (!low) {
      fail("expected a number after '{'");
    }
    if (!take("}")) fail("expected '}'");
    if (low.value_or(0) > *high) fail("a repetition with its bounds the wrong way round");
    return syntax_.add_repeat(node, low.value_or(0), *high);
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

  std::uint32_t parse_literal() {
    ++at_;
    Expr sequence;
    while (!take("\"")) {
      const std::uint32_t c = parse_character();
      sequence.items.push_back(syntax_.add_set({{c, c}}));
    }
    return syntax_.add(std::move(sequence));
  }

  CodePointSet parse_class() {
    const bool negated = take("^");
    std::vector<CodePointRange> items;
    while (!take("]")) {
      const std::uint32_t low = parse_character();
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const std::uint32_t high = parse_character();
        if (high < low) fail("a range with its ends the wrong way round");
        items.push_back({low, high});
      } else {
        items.push_back({low, low});
      }
    }
    const CodePointSet set = CodePointSet::of(std::move(items));
    return negated ? set.complement() : set;
  }

  std::uint32_t parse_character() {
    if (done() || peek() == '\n') fail("a literal or a character class that is not closed");
    if (!take("\\")) {
      std::uint32_t c = 0;
      if (!next_code_point(text_, at_, c)) fail("bytes that are not UTF-8");
      return c;
    }
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return parse_hex(2);
      case 'u':
        return parse_hex(4);
      case 'U':
        return parse_hex(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
      case '/':
      case '.':
        return static_cast<std::uint32_t>(c);
      default:
        --at_;
        fail("an unknown escape");
    }
  }

  std::uint32_t parse_hex(int n_digits) {
    std::uint32_t value = 0;
    for (int i = 0; i < n_digits; ++i) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail(fmt::format("an escape needs {} hexadecimal digits", n_digits));
      value = value << 4 | static_cast<std::uint32_t>(digit);
      ++at_;
    }
    if (value > 0x10ffff) fail("an escape above U+10FFFF");
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Syntax syntax_;
  std::map<std::string, std::uint32_t, std::less<>> names_;
  std::vector<bool> defined_;
};

}  // namespace

Syntax parse_gbnf(std::string_view grammar) {
  return GbnfParser(grammar).parse();
}

}  // namespace llm::sampling
