#include <algorithm>

#include <fmt/format.h>

#include "chat/big_integer.h"
#include "chat/interpreter.h"

namespace llm::chat {

Value Interpreter::evaluate_name(const Expression& node) {
  const Value* value = find(node.name);
  if (value != nullptr) return *value;
  return Value::undefined(fmt::format("'{}' is undefined", template_->names[static_cast<std::size_t>(node.name)]));
}

Value Interpreter::evaluate_display(const Expression& node) {
  Values items;
  items.reserve(node.operands.size());
  for (const auto& operand : node.operands) items.push_back(evaluate(*operand));
  return node.kind == ExpressionKind::list ? heap_.list(std::move(items)) : heap_.tuple(std::move(items));
}

Value Interpreter::evaluate_dict(const Expression& node) {
  Value dict = heap_.dict();
  for (std::size_t i = 0; i < node.operands.size(); i += 2) {
    Value key = evaluate(*node.operands[i]);
    heap_.set(dict.dict(), std::move(key), evaluate(*node.operands[i + 1]));
  }
  return dict;
}

namespace {

bool all_constant(const ExpressionPtr& node) {
  if (node == nullptr || node->kind == ExpressionKind::constant) return true;
  const bool is_display = node->kind == ExpressionKind::list || node->kind == ExpressionKind::tuple ||
                          node->kind == ExpressionKind::dict || node->kind == ExpressionKind::negate;
  return is_display && std::all_of(node->operands.begin(), node->operands.end(), all_constant);
}

}  // namespace

// What jinja2 evaluates while it compiles, slices of constants, gives an undefined value where it would fail later.
Value Interpreter::evaluate_slice(const Expression& node) {
  const Value value = evaluate(*node.operands[0]);
  Value bounds[3] = {Value::none(), Value::none(), Value::none()};
  for (std::size_t i = 0; i < 3; ++i) {
    if (node.operands[i + 1]) bounds[i] = evaluate(*node.operands[i + 1]);
  }
  place_ = node.place;
  if (!std::all_of(node.operands.begin(), node.operands.end(), all_constant)) {
    return slice_value(heap_, value, bounds[0], bounds[1], bounds[2]);
  }
  try {
    return slice_value(heap_, value, bounds[0], bounds[1], bounds[2]);
  } catch (const Failure& failure) {
    return Value::undefined(failure.message);
  }
}

Call Interpreter::evaluate_arguments(const Arguments* arguments) {
  Call call;
  if (arguments == nullptr) return call;
  call.positional.reserve(arguments->positional.size());
  for (const auto& argument : arguments->positional) call.positional.push_back(evaluate(*argument));
  for (const auto& [name, argument] : arguments->named) call.named.emplace_back(name, evaluate(*argument));
  if (arguments->sequence || arguments->mapping) spread(*arguments, call);
  return call;
}

// *sequence and **mapping of a call.
void Interpreter::spread(const Arguments& arguments, Call& call) {
  if (arguments.sequence) {
    for (Value& value : iterate(heap_, evaluate(*arguments.sequence))) call.positional.push_back(std::move(value));
  }
  if (arguments.mapping) {
    const Value mapping = evaluate(*arguments.mapping);
    if (!mapping.is(Kind::dict)) fail("the argument after ** must be a mapping");
    for (const auto& [key, value] : mapping.dict().entries()) {
      if (!key.is_string()) fail("keywords must be strings");
      call.named.emplace_back(key.bytes(), value);
    }
  }
}

Value Interpreter::evaluate_call(const Expression& node, const Value* caller) {
  const Expression& callee = *node.operands[0];
  if (callee.kind == ExpressionKind::attribute && caller == nullptr) {
    const Value self = evaluate(*callee.operands[0]);
    if (const Method method = method_of(self, callee.text)) {
      const Call arguments = evaluate_arguments(node.arguments.get());
      place_ = callee.place;
      return method(*this, self, arguments);
    }
    place_ = callee.place;
    const Value bound = attribute(self, callee.text);
    const Call arguments = evaluate_arguments(node.arguments.get());
    place_ = callee.place;
    return call(bound, arguments);
  }
  const Value bound = evaluate(callee);
  Call arguments = evaluate_arguments(node.arguments.get());
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  place_ = callee.place;
  return call(bound, arguments);
}

Value Interpreter::evaluate_filter(const Expression& node, const Value* innermost) {
  const Deeper deeper(*this);
  Value input;
  if (!node.operands[0]) {
    input = *innermost;
  } else if (innermost != nullptr && node.operands[0]->kind == ExpressionKind::filter) {
    input = evaluate_filter(*node.operands[0], innermost);
  } else {
    input = evaluate(*node.operands[0]);
  }
  const Call arguments = evaluate_arguments(node.arguments.get());
  place_ = node.place;
  return filter(node.text, input, arguments);
}

Value Interpreter::evaluate_test(const Expression& node) {
  const Value input = evaluate(*node.operands[0]);
  const Call arguments = evaluate_arguments(node.arguments.get());
  place_ = node.place;
  return Value(test(node.text, input, arguments));
}

Value Interpreter::filter(std::string_view name, const Value& input, const Call& arguments) {
  const Filter found = find_filter(name);
  if (found == nullptr) fail(fmt::format("no filter named '{}'", name));
  return found(*this, input, arguments);
}

bool Interpreter::test(std::string_view name, const Value& input, const Call& arguments) {
  const Test found = find_test(name);
  if (found == nullptr) fail(fmt::format("no test named '{}'", name));
  return found(*this, input, arguments);
}

Value Interpreter::evaluate_arithmetic(const Expression& node) {
  const Value left = evaluate(*node.operands[0]);
  const Value right = evaluate(*node.operands[1]);
  place_ = node.place;
  return arithmetic(heap_, node.text, left, right);
}

Value Interpreter::evaluate_concatenation(const Expression& node) {
  TextBuilder out(budget_);
  for (const auto& operand : node.operands) append_text(out, budget_, evaluate(*operand));
  return Value(out.finish());
}

Value Interpreter::evaluate_comparison(const Expression& node) {
  Value left = evaluate(*node.operands[0]);
  for (std::size_t i = 0; i < node.operators.size(); ++i) {
    Value right = evaluate(*node.operands[i + 1]);
    place_ = node.place;
    const std::string& op = node.operators[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = equal(budget_, left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(heap_, right, left) == (op == "in");
    } else {
      const int order = compare(budget_, left, right, op);  // 2: unordered
      holds = order != 2 && (op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0);
    }
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::negate(const Value& value, bool minus) {
  if (value.is_undefined()) fail_undefined(value);
  if (value.is(Kind::real)) return Value(minus ? -value.real() : value.real()).from(value.foreign());
  if (!value.is_integral()) {
    fail(fmt::format("bad operand type for unary {}: '{}'", minus ? '-' : '+', type_name(value)));
  }
  if (value.is_big()) return minus ? BigInteger(value).negated().value().from(value.foreign()) : value;
  return Value(minus ? -value.integer() : value.integer()).from(value.foreign());
}

}  // namespace llm::chat
