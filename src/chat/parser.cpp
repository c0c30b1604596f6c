#include "chat/parser.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "chat/filters.h"

namespace llm::chat {

namespace {

constexpr int nesting_of_source = 100, nesting_of_tree = 200;

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::end:
      return "end of template";
    case TokenKind::variable_end:
      return "end of print statement";
    case TokenKind::block_end:
      return "end of statement block";
    case TokenKind::data:
      return "template data";
    case TokenKind::variable_begin:
      return "begin of print statement";
    case TokenKind::block_begin:
      return "begin of statement block";
    default:
      return token.text.substr(0, 40);
  }
}

}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(&parser) {
  if (++parser.depth_ > nesting_of_source) {
    --parser.depth_;
    fail_at(parser.current().place, fmt::format("the template nests deeper than {} levels", nesting_of_source));
  }
}

bool Parser::skip_op(std::string_view op) {
  if (!at_op(op)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  take();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) unexpected(op);
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected(name);
}

std::string Parser::expect_any_name() {
  if (current().kind != TokenKind::name) unexpected("name");
  return take().text;
}

void Parser::unexpected(std::string_view expected) const {
  const std::string found = describe(current());
  fail_at(current().place, expected.empty() ? fmt::format("unexpected '{}'", found)
                                            : fmt::format("expected token '{}', got '{}'", expected, found));
}

NameId Parser::intern(const std::string& name) {
  const auto [entry, is_new] = ids_.emplace(name, static_cast<NameId>(names_.size()));
  if (is_new) names_.push_back(name);
  return entry->second;
}

ExpressionPtr Parser::make(ExpressionKind kind, Place place) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->place = place;
  return node;
}

void Parser::check_depth(Expression& parent, int child_depth) {
  parent.depth = std::max(parent.depth, child_depth + 1);
  if (parent.depth > nesting_of_tree) {
    fail_at(parent.place, fmt::format("an expression nests deeper than {} levels", nesting_of_tree));
  }
}

void Parser::adopt(Expression& parent, ExpressionPtr child) {
  if (child) check_depth(parent, child->depth);
  parent.operands.push_back(std::move(child));
}

ExpressionPtr Parser::expression(bool with_condition) {
  const Nesting nesting(*this);
  if (!with_condition) return either();
  const std::size_t unknown_before = unknown_.size();
  ExpressionPtr value = either();
  while (at_name("if")) {
    auto node = make(ExpressionKind::conditional, take().place);
    adopt(*node, either());
    adopt(*node, std::move(value));
    adopt(*node, skip_name("else") ? expression() : nullptr);
    value = std::move(node);
    // An unknown filter in a conditional expression is an error only when it is evaluated.
    unknown_.resize(unknown_before);
  }
  return value;
}

ExpressionPtr Parser::either() {
  ExpressionPtr left = both();
  while (at_name("or")) {
    auto node = make(ExpressionKind::either, take().place);
    adopt(*node, std::move(left));
    adopt(*node, both());
    left = std::move(node);
  }
  return left;
}

ExpressionPtr Parser::both() {
  ExpressionPtr left = inversion();
  while (at_name("and")) {
    auto node = make(ExpressionKind::both, take().place);
    adopt(*node, std::move(left));
    adopt(*node, inversion());
    left = std::move(node);
  }
  return left;
}

ExpressionPtr Parser::inversion() {
  if (!at_name("not")) return comparison();
  const Nesting nesting(*this);
  auto node = make(ExpressionKind::invert, take().place);
  adopt(*node, inversion());
  return node;
}

ExpressionPtr Parser::comparison() {
  ExpressionPtr first = sum();
  ExpressionPtr node;
  for (;;) {
    std::string op;
    const Place place = current().place;
    const bool is_comparison =
        current().kind == TokenKind::op && (current().text == "==" || current().text == "!=" || current().text == "<" ||
                                            current().text == "<=" || current().text == ">" || current().text == ">=");
    if (is_comparison || at_name("in")) {
      op = take().text;
    } else if (at_name("not") && look().kind == TokenKind::name && look().text == "in") {
      take();
      take();
      op = "not in";
    } else {
      break;
    }
    if (!node) {
      node = make(ExpressionKind::compare, place);
      adopt(*node, std::move(first));
    }
    node->operators.push_back(op);
    adopt(*node, sum());
  }
  return node ? std::move(node) : std::move(first);
}

ExpressionPtr Parser::sum() {
  ExpressionPtr left = concatenation();
  while (at_op("+") || at_op("-")) {
    const Token op = take();
    auto node = make(ExpressionKind::arithmetic, op.place);
    node->text = op.text;
    adopt(*node, std::move(left));
    adopt(*node, concatenation());
    left = std::move(node);
  }
  return left;
}

ExpressionPtr Parser::concatenation() {
  ExpressionPtr first = product();
  if (!at_op("~")) return first;
  auto node = make(ExpressionKind::concatenate, current().place);
  adopt(*node, std::move(first));
  while (skip_op("~")) adopt(*node, product());
  return node;
}

ExpressionPtr Parser::product() {
  ExpressionPtr left = power();
  while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
    const Token op = take();
    auto node = make(ExpressionKind::arithmetic, op.place);
    node->text = op.text;
    adopt(*node, std::move(left));
    adopt(*node, power());
    left = std::move(node);
  }
  return left;
}

// Binds to the left and weaker than a sign: -2 ** 2 is 4.
ExpressionPtr Parser::power() {
  ExpressionPtr left = unary();
  while (at_op("**")) {
    const Token op = take();
    auto node = make(ExpressionKind::arithmetic, op.place);
    node->text = op.text;
    adopt(*node, std::move(left));
    adopt(*node, unary());
    left = std::move(node);
  }
  return left;
}

ExpressionPtr Parser::unary(bool with_filter) {
  const Nesting nesting(*this);
  ExpressionPtr node;
  if (at_op("-") || at_op("+")) {
    const Token sign = take();
    node = make(sign.text == "-" ? ExpressionKind::negate : ExpressionKind::plus, sign.place);
    adopt(*node, unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr Parser::primary() {
  const Token& token = current();
  const Place place = token.place;
  switch (token.kind) {
    case TokenKind::name: {
      const std::string name = take().text;
      if (name == "true" || name == "True" || name == "false" || name == "False") {
        auto node = make(ExpressionKind::constant, place);
        node->constant = Value(name == "true" || name == "True");
        return node;
      }
      if (name == "none" || name == "None") {
        auto node = make(ExpressionKind::constant, place);
        node->constant = Value::none();
        return node;
      }
      if (!macros_.empty()) {
        if (name == "varargs") macros_.back().varargs = true;
        if (name == "kwargs") macros_.back().kwargs = true;
        if (name == "caller") macros_.back().caller = true;
      }
      auto node = make(ExpressionKind::name, place);
      node->name = intern(name);
      return node;
    }
    case TokenKind::string:
      return string_constant();
    case TokenKind::integer: {
      auto node = make(ExpressionKind::constant, place);
      Value value;
      try {
        if (!parse_integer(token.text, 0, value)) unexpected();
      } catch (const Failure& failure) {
        fail_at(place, failure.message);
      }
      node->constant = Value(value);
      take();
      return node;
    }
    case TokenKind::real: {
      auto node = make(ExpressionKind::constant, place);
      double value = 0;
      if (!parse_real(token.text, value)) unexpected();
      node->constant = Value(value);
      take();
      return node;
    }
    case TokenKind::op:
      if (token.text == "(") {
        take();
        ExpressionPtr node = tuple(true, true);
        expect_op(")");
        return node;
      }
      if (token.text == "[") return list_display();
      if (token.text == "{") return dict_display();
      unexpected();
    default:
      unexpected();
  }
}

ExpressionPtr Parser::string_constant() {
  auto node = make(ExpressionKind::constant, current().place);
  std::string text;
  while (current().kind == TokenKind::string) text += take().text;
  node->constant = Value::literal(text);
  return node;
}

ExpressionPtr Parser::list_display() {
  auto node = make(ExpressionKind::list, take().place);
  while (!at_op("]")) {
    if (!node->operands.empty()) expect_op(",");
    if (at_op("]")) break;
    adopt(*node, expression());
  }
  expect_op("]");
  return node;
}

ExpressionPtr Parser::dict_display() {
  auto node = make(ExpressionKind::dict, take().place);
  while (!at_op("}")) {
    if (!node->operands.empty()) expect_op(",");
    if (at_op("}")) break;
    adopt(*node, expression());
    expect_op(":");
    adopt(*node, expression());
  }
  expect_op("}");
  return node;
}

bool Parser::tuple_ends(std::string_view stop_name) const {
  const TokenKind kind = current().kind;
  return kind == TokenKind::variable_end || kind == TokenKind::block_end || kind == TokenKind::end || at_op(")") ||
         (!stop_name.empty() && at_name(stop_name));
}

ExpressionPtr Parser::tuple(bool with_condition, bool in_parentheses, std::string_view stop_name) {
  const Place place = current().place;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) expect_op(",");
    if (tuple_ends(stop_name)) break;
    items.push_back(expression(with_condition));
    if (!at_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items.front());
  if (items.empty() && !in_parentheses) unexpected();
  auto node = make(ExpressionKind::tuple, place);
  for (ExpressionPtr& item : items) adopt(*node, std::move(item));
  return node;
}

ExpressionPtr Parser::postfix(ExpressionPtr node) {
  for (;;) {
    if (at_op(".") || at_op("[")) {
      node = attribute_or_item(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr Parser::filters_and_tests(ExpressionPtr node) {
  for (;;) {
    if (at_op("|")) {
      node = filter(std::move(node));
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr Parser::attribute_or_item(ExpressionPtr node) {
  const Token token = take();
  if (token.text == ".") {
    const Place place = current().place;
    if (current().kind == TokenKind::name) {
      auto attribute = make(ExpressionKind::attribute, place);
      attribute->text = take().text;
      attribute->constant = Value::literal(attribute->text);
      adopt(*attribute, std::move(node));
      return attribute;
    }
    if (current().kind != TokenKind::integer) unexpected("name or number");
    auto item = make(ExpressionKind::item, place);
    adopt(*item, std::move(node));
    adopt(*item, primary());
    return item;
  }
  ExpressionPtr index = subscript();
  if (at_op(",")) {
    auto indices = make(ExpressionKind::tuple, token.place);
    if (index->kind == ExpressionKind::slice) unexpected();
    adopt(*indices, std::move(index));
    while (skip_op(",")) {
      ExpressionPtr more = subscript();
      if (more->kind == ExpressionKind::slice) unexpected();
      adopt(*indices, std::move(more));
    }
    index = std::move(indices);
  }
  expect_op("]");
  if (index->kind == ExpressionKind::slice && !index->operands.empty() && index->text == "open") {
    index->text.clear();
    check_depth(*index, node->depth);
    index->operands.front() = std::move(node);
    return index;
  }
  auto item = make(ExpressionKind::item, token.place);
  adopt(*item, std::move(node));
  adopt(*item, std::move(index));
  return item;
}

// What stands between [ and ]: an expression, or a slice whose first operand is still to be set (text "open").
ExpressionPtr Parser::subscript() {
  const Place place = current().place;
  ExpressionPtr bounds[3];
  const auto bound_ends = [&] { return at_op(":") || at_op("]") || at_op(","); };
  if (!at_op(":")) {
    bounds[0] = expression();
    if (!at_op(":")) return std::move(bounds[0]);
  }
  expect_op(":");
  if (!bound_ends()) bounds[1] = expression();
  if (skip_op(":") && !bound_ends()) bounds[2] = expression();
  auto node = make(ExpressionKind::slice, place);
  node->text = "open";
  adopt(*node, nullptr);
  for (ExpressionPtr& bound : bounds) adopt(*node, std::move(bound));
  return node;
}

ExpressionPtr Parser::filter(ExpressionPtr node, bool start_inline) {
  while (at_op("|") || start_inline) {
    if (!start_inline) take();
    start_inline = false;
    auto filter_node = make(ExpressionKind::filter, current().place);
    filter_node->text = expect_any_name();
    while (skip_op(".")) filter_node->text.append(1, '.').append(expect_any_name());
    if (!is_filter(filter_node->text)) {
      unknown_.push_back({filter_node->place, fmt::format("no filter named '{}'", filter_node->text)});
    }
    adopt(*filter_node, std::move(node));
    if (at_op("(")) {
      int depth = 0;
      filter_node->arguments = arguments(depth);
      check_depth(*filter_node, depth);
    }
    node = std::move(filter_node);
  }
  return node;
}

ExpressionPtr Parser::test(ExpressionPtr node) {
  take();
  const bool negated = skip_name("not");
  auto test_node = make(ExpressionKind::test, current().place);
  test_node->text = expect_any_name();
  while (skip_op(".")) test_node->text.append(1, '.').append(expect_any_name());
  if (!is_test(test_node->text)) {
    unknown_.push_back({test_node->place, fmt::format("no test named '{}'", test_node->text)});
  }
  adopt(*test_node, std::move(node));
  const TokenKind kind = current().kind;
  const bool value_follows = kind == TokenKind::string || kind == TokenKind::integer || kind == TokenKind::real ||
                             at_op("[") || at_op("{") ||
                             (kind == TokenKind::name && !at_name("else") && !at_name("or") && !at_name("and"));
  if (at_op("(")) {
    int depth = 0;
    test_node->arguments = arguments(depth);
    check_depth(*test_node, depth);
  } else if (value_follows) {
    if (at_name("is")) fail_at(current().place, "you cannot chain multiple tests with is");
    ExpressionPtr argument = postfix(primary());
    check_depth(*test_node, argument->depth);
    test_node->arguments = std::make_unique<Arguments>();
    test_node->arguments->positional.push_back(std::move(argument));
  }
  if (!negated) return test_node;
  auto inverted = make(ExpressionKind::invert, test_node->place);
  adopt(*inverted, std::move(test_node));
  return inverted;
}

ExpressionPtr Parser::call(ExpressionPtr node) {
  auto call_node = make(ExpressionKind::call, current().place);
  adopt(*call_node, std::move(node));
  int depth = 0;
  call_node->arguments = arguments(depth);
  check_depth(*call_node, depth);
  return call_node;
}

// `depth`: of the deepest argument.
std::unique_ptr<Arguments> Parser::arguments(int& depth) {
  expect_op("(");
  auto result = std::make_unique<Arguments>();
  const auto argument = [&] {
    ExpressionPtr value = expression();
    depth = std::max(depth, value->depth);
    return value;
  };
  bool first = true;
  while (!at_op(")")) {
    if (!first) {
      expect_op(",");
      if (at_op(")")) break;
    }
    first = false;
    const Place place = current().place;
    if (skip_op("*")) {
      if (result->sequence || result->mapping) fail_at(place, "invalid syntax for function call expression");
      result->sequence = argument();
    } else if (skip_op("**")) {
      if (result->mapping) fail_at(place, "invalid syntax for function call expression");
      result->mapping = argument();
    } else if (current().kind == TokenKind::name && look().kind == TokenKind::op && look().text == "=") {
      if (result->mapping) fail_at(place, "invalid syntax for function call expression");
      std::string name = take().text;
      take();
      result->named.emplace_back(std::move(name), argument());
    } else {
      if (result->sequence || result->mapping || !result->named.empty()) {
        fail_at(place, "invalid syntax for function call expression");
      }
      result->positional.push_back(argument());
    }
  }
  expect_op(")");
  return result;
}

}  // namespace llm::chat
