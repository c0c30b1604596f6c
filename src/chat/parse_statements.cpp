#include <algorithm>

#include <fmt/format.h>

#include "chat/parser.h"

namespace llm::chat {

std::unique_ptr<Statement> Parser::make_statement(StatementKind kind, Place place) const {
  auto node = std::make_unique<Statement>();
  node->kind = kind;
  node->place = place;
  return node;
}

Template Parser::run() {
  Template result;
  result.body = body({}, false);
  if (!unknown_.empty()) fail_at(unknown_.front().place, unknown_.front().message);
  result.names = std::move(names_);
  return result;
}

// Statements up to one of the tags named, which is current afterwards, or behind it with skip_end.
Statements Parser::body(std::initializer_list<std::string_view> ends, bool skip_end) {
  Statements statements;
  for (;;) {
    const Place place = current().place;
    switch (current().kind) {
      case TokenKind::data: {
        auto text = make_statement(StatementKind::text, place);
        text->constant = Value::literal(take().text);
        statements.push_back(std::move(text));
        break;
      }
      case TokenKind::variable_begin: {
        take();
        auto output = make_statement(StatementKind::print, place);
        output->expressions.push_back(tuple());
        if (current().kind != TokenKind::variable_end) unexpected("end of print statement");
        take();
        statements.push_back(std::move(output));
        break;
      }
      case TokenKind::block_begin: {
        take();
        for (const std::string_view end : ends) {
          if (!at_name(end)) continue;
          if (skip_end) take();
          return statements;
        }
        statements.push_back(statement());
        if (current().kind != TokenKind::block_end) unexpected("end of statement block");
        take();
        break;
      }
      case TokenKind::end:
        if (ends.size() > 0) {
          fail_at(place, fmt::format("unexpected end of template: looking for the tag '{}'", *(ends.end() - 1)));
        }
        return statements;
      default:
        unexpected();
    }
  }
}

// The end of the tag that opens a block, and its body up to the tag that closes it.
Statements Parser::end_of_block(std::string_view end) {
  skip_op(":");
  if (current().kind != TokenKind::block_end) unexpected("end of statement block");
  take();
  return body({end}, true);
}

std::unique_ptr<Statement> Parser::statement() {
  const Nesting nesting(*this);
  const Place place = current().place;
  if (current().kind != TokenKind::name) fail_at(place, "tag name expected");
  const std::string tag = take().text;
  if (tag == "if") return branch(place);
  if (tag == "for") return loop(place);
  if (tag == "set") return assignment(place);
  if (tag == "macro") return macro(place);
  if (tag == "call") return call_block(place);
  if (tag == "with") return with(place);
  if (tag == "block") return block(place);
  if (tag == "print") return print(place);
  if (tag == "filter") {
    auto node = make_statement(StatementKind::filter, place);
    node->expressions.push_back(filter(nullptr, true));
    node->bodies.push_back(end_of_block("endfilter"));
    return node;
  }
  if (tag == "generation") {
    auto node = make_statement(StatementKind::scope, place);
    node->bodies.push_back(end_of_block("endgeneration"));
    return node;
  }
  if (tag == "autoescape") {
    auto node = make_statement(StatementKind::scope, place);
    expression();
    node->bodies.push_back(end_of_block("endautoescape"));
    return node;
  }
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) fail_at(place, fmt::format("'{}' outside loop", tag));
    return make_statement(tag == "break" ? StatementKind::stop_loop : StatementKind::next_round, place);
  }
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") return unsupported(place, tag);
  fail_at(place, fmt::format("encountered unknown tag '{}'", tag));
}

std::unique_ptr<Statement> Parser::unsupported(Place place, const std::string& tag) {
  auto node = make_statement(StatementKind::unsupported, place);
  node->text = tag;
  while (current().kind != TokenKind::block_end && current().kind != TokenKind::end) take();
  return node;
}

std::unique_ptr<Statement> Parser::branch(Place place) {
  auto node = make_statement(StatementKind::branch, place);
  for (;;) {
    node->expressions.push_back(tuple(false));
    skip_op(":");
    if (current().kind != TokenKind::block_end) unexpected("end of statement block");
    take();
    // An unknown filter in a branch is an error only when it is evaluated.
    const std::size_t unknown_before = unknown_.size();
    node->bodies.push_back(body({"elif", "else", "endif"}, false));
    unknown_.resize(unknown_before);
    const std::string tag = take().text;
    if (tag == "endif") return node;
    if (tag == "else") {
      node->bodies.push_back(end_of_block("endif"));
      unknown_.resize(unknown_before);
      return node;
    }
  }
}

std::unique_ptr<Statement> Parser::loop(Place place) {
  auto node = make_statement(StatementKind::loop, place);
  node->target = target(true, false, "in");
  expect_name("in");
  node->expressions.push_back(tuple(false, false, "recursive"));
  if (skip_name("if")) node->expressions.push_back(expression());
  node->recursive = skip_name("recursive");
  skip_op(":");
  if (current().kind != TokenKind::block_end) unexpected("end of statement block");
  take();
  ++loops_;
  node->bodies.push_back(body({"endfor", "else"}, false));
  --loops_;
  if (take().text == "else") node->bodies.push_back(end_of_block("endfor"));
  return node;
}

std::unique_ptr<Statement> Parser::assignment(Place place) {
  auto node = make_statement(StatementKind::assign, place);
  node->target = target(true, true);
  if (skip_op("=")) {
    node->expressions.push_back(tuple());
    return node;
  }
  node->kind = StatementKind::capture;
  if (ExpressionPtr filters = filter(nullptr)) node->expressions.push_back(std::move(filters));
  node->bodies.push_back(end_of_block("endset"));
  return node;
}

Target Parser::single_target(bool with_namespace) {
  const Place place = current().place;
  if (skip_op("(")) {
    Target inner = target(true, with_namespace);
    expect_op(")");
    return inner;
  }
  const std::string name = expect_any_name();
  for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (name == reserved) fail_at(place, fmt::format("cannot assign to '{}'", name));
  }
  Target result;
  result.name = intern(name);
  if (at_op(".") && with_namespace) {
    take();
    result.attribute = expect_any_name();
  }
  return result;
}

Target Parser::target(bool with_tuple, bool with_namespace, std::string_view stop_name) {
  const Nesting nesting(*this);
  Target first = single_target(with_namespace);
  if (!with_tuple || !at_op(",")) return first;
  Target all;
  all.targets.push_back(std::move(first));
  while (skip_op(",")) {
    if (at_op("=") || at_op(")") || (!stop_name.empty() && at_name(stop_name))) break;
    all.targets.push_back(single_target(with_namespace));
  }
  return all;
}

void Parser::parameters(Statement& statement) {
  expect_op("(");
  while (!at_op(")")) {
    if (!statement.parameters.empty()) expect_op(",");
    if (at_op(")")) break;
    const Place place = current().place;
    Parameter parameter;
    parameter.text = expect_any_name();
    parameter.name = intern(parameter.text);
    if (skip_op("=")) {
      parameter.fallback = expression();
    } else if (!statement.parameters.empty() && statement.parameters.back().fallback) {
      fail_at(place, "non-default argument follows default argument");
    }
    statement.parameters.push_back(std::move(parameter));
  }
  expect_op(")");
}

void Parser::macro_body(Statement& statement, std::string_view end) {
  macros_.emplace_back();
  const int loops = std::exchange(loops_, 0);
  statement.bodies.push_back(end_of_block(end));
  loops_ = loops;
  statement.uses_varargs = macros_.back().varargs;
  statement.uses_kwargs = macros_.back().kwargs;
  statement.uses_caller = macros_.back().caller;
  macros_.pop_back();
  if (!macros_.empty()) {
    macros_.back().varargs |= statement.uses_varargs;
    macros_.back().kwargs |= statement.uses_kwargs;
    macros_.back().caller |= statement.uses_caller;
  }
}

std::unique_ptr<Statement> Parser::macro(Place place) {
  auto node = make_statement(StatementKind::macro, place);
  node->text = expect_any_name();
  node->name = intern(node->text);
  parameters(*node);
  macro_body(*node, "endmacro");
  return node;
}

std::unique_ptr<Statement> Parser::call_block(Place place) {
  auto node = make_statement(StatementKind::call_block, place);
  node->text = "caller";
  if (at_op("(")) parameters(*node);
  node->expressions.push_back(expression());
  if (node->expressions.front()->kind != ExpressionKind::call) fail_at(place, "expected call");
  macro_body(*node, "endcall");
  return node;
}

std::unique_ptr<Statement> Parser::with(Place place) {
  auto node = make_statement(StatementKind::with, place);
  while (current().kind != TokenKind::block_end) {
    if (!node->targets.empty()) expect_op(",");
    node->targets.push_back(target(false, false));
    expect_op("=");
    node->expressions.push_back(expression());
  }
  node->bodies.push_back(end_of_block("endwith"));
  return node;
}

std::unique_ptr<Statement> Parser::block(Place place) {
  auto node = make_statement(StatementKind::scope, place);
  const std::string name = expect_any_name();
  while (skip_name("scoped") || skip_name("required")) {
  }
  node->bodies.push_back(end_of_block("endblock"));
  skip_name(name);
  return node;
}

std::unique_ptr<Statement> Parser::print(Place place) {
  auto node = make_statement(StatementKind::print, place);
  while (current().kind != TokenKind::block_end) {
    if (!node->expressions.empty()) expect_op(",");
    node->expressions.push_back(expression());
  }
  return node;
}

Template parse_template(const std::string& normalized_source) {
  return Parser(normalized_source).run();
}

}  // namespace llm::chat
