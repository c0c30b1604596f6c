#ifndef CHAT_AST_H
#define CHAT_AST_H

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/lexer.h"
#include "chat/value.h"

namespace llm::chat {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;
using NameId = int;  // index into Template::names

enum class ExpressionKind {
  constant,
  name,
  list,       // operands
  tuple,      // operands
  dict,       // operands: key, value, key, value
  attribute,  // operands[0].name
  item,       // operands[0][operands[1]]
  slice,      // operands[0][operands[1]:operands[2]:operands[3]], absent bounds are null
  call,       // operands[0](arguments)
  filter,     // operands[0] | text(arguments); operands[0] is null in a filter block
  test,       // operands[0] is text(arguments)
  negate,
  plus,
  invert,       // not
  arithmetic,   // operands[0] text operands[1]
  concatenate,  // ~ of all operands
  compare,      // operands[0] operators[0] operands[1] operators[1] operands[2] ...
  both,         // and
  either,       // or
  conditional,  // operands[1] if operands[0] else operands[2], which may be null
};

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr sequence, mapping;  // *sequence, **mapping
};

struct Expression {
  ExpressionKind kind;
  Place place;
  int depth = 1;  // levels below, itself included
  Value constant;
  NameId name = -1;
  std::string text;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;
  std::unique_ptr<Arguments> arguments;
};

// What a `for` or `set` assigns to.
struct Target {
  NameId name = -1;
  std::string attribute;        // of a namespace
  std::vector<Target> targets;  // if not empty: unpacks
};

struct Statement;
using Statements = std::vector<std::unique_ptr<Statement>>;

enum class StatementKind {
  text,        // constant
  print,       // expressions[0]
  branch,      // expressions are conditions, bodies follow them; one more body is the else
  loop,        // for target in expressions[0] [if expressions[1]]; bodies: body, else
  assign,      // target = expressions[0]
  capture,     // set block: target = bodies[0] through the filters of expressions[0], if any
  macro,       // name, parameters, bodies[0]
  call_block,  // expressions[0] is a call, whose caller is the macro of parameters and bodies[0]
  filter,      // expressions[0] with an absent innermost operand over bodies[0]
  with,        // targets = expressions over bodies[0]
  scope,       // bodies[0]
  stop_loop,
  next_round,
  unsupported,  // text: which tag
};

struct Parameter {
  NameId name;
  std::string text;
  ExpressionPtr fallback;
};

struct Statement {
  StatementKind kind;
  Place place;
  std::string text;
  Value constant;
  NameId name = -1;
  Target target;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> expressions;
  std::vector<Statements> bodies;
  std::vector<Parameter> parameters;
  bool recursive = false;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  // by a macro's body
};

struct Template {
  Statements body;
  std::vector<std::string> names;
};

// Throws Error(usage) with line and column.
Template parse_template(const std::string& normalized_source);

}  // namespace llm::chat

#endif
