#include "chat/interpreter.h"

#include <fmt/format.h>

namespace llm::chat {

namespace {

// Puts a value back at the end of a block, also when an exception passes.
template <class T>
class Restore {
 public:
  Restore(T& place, T value) : place_(&place), old_(std::exchange(place, std::move(value))) {}
  ~Restore() { *place_ = std::move(old_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T* place_;
  T old_;
};

}  // namespace

Interpreter::Interpreter(const Template& source, const std::tm& now, const Limits& limits)
    : template_(&source),
      budget_(limits),
      heap_(budget_),
      now_(now),
      globals_(source.names.size()),
      has_global_(source.names.size()) {
  for (std::size_t i = 0; i < source.names.size(); ++i) ids_.emplace(source.names[i], static_cast<NameId>(i));
  const auto id = [&](std::string_view name) {
    const auto found = ids_.find(name);
    return found == ids_.end() ? -1 : found->second;
  };
  loop_name_ = id("loop");
  caller_name_ = id("caller");
  varargs_name_ = id("varargs");
  kwargs_name_ = id("kwargs");
  root_ = scope_ = std::make_shared<Scope>(nullptr);
  define_globals();
}

void Interpreter::define(std::string_view name, Value value) {
  const auto found = ids_.find(name);
  if (found == ids_.end()) return;
  const auto i = static_cast<std::size_t>(found->second);
  globals_[i] = std::move(value);
  has_global_[i] = true;
}

TextPtr Interpreter::run() {
  try {
    return capture(template_->body);
  } catch (const Failure& failure) {
    fail_at(place_, failure.message);
  }
}

void Interpreter::set(NameId name, Value value) {
  for (auto& [id, old] : scope_->values) {
    if (id == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->values.emplace_back(name, std::move(value));
}

const Value* Interpreter::find(NameId name) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [id, value] : scope->values) {
      if (id == name) return &value;
    }
  }
  const auto i = static_cast<std::size_t>(name);
  return has_global_[i] ? &globals_[i] : nullptr;
}

Interpreter::Flow Interpreter::run_all(const Statements& statements) {
  for (const auto& statement : statements) {
    const Flow flow = run_one(*statement);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run_one(const Statement& statement) {
  const Deeper deeper(*this);
  place_ = statement.place;
  switch (statement.kind) {
    case StatementKind::text:
      out_->append(*statement.constant.text());
      return Flow::next;
    case StatementKind::print:
      for (const auto& expression : statement.expressions) append_text(*out_, budget_, evaluate(*expression));
      return Flow::next;
    case StatementKind::branch:
      return run_branch(statement);
    case StatementKind::loop:
      run_loop(statement, evaluate(*statement.expressions[0]), 0);
      return Flow::next;
    case StatementKind::assign:
    case StatementKind::capture:
      run_assignment(statement);
      return Flow::next;
    case StatementKind::macro:
      set(statement.name, make_macro(statement));
      return Flow::next;
    case StatementKind::call_block:
      run_call_block(statement);
      return Flow::next;
    case StatementKind::filter: {
      const Value body(capture(statement.bodies[0]));
      append_text(*out_, budget_, evaluate_filter(*statement.expressions[0], &body));
      return Flow::next;
    }
    case StatementKind::with:
      return run_with(statement);
    case StatementKind::scope:
      return run_scope(statement.bodies[0]);
    case StatementKind::stop_loop:
      return Flow::stop_loop;
    case StatementKind::next_round:
      return Flow::next_round;
    case StatementKind::unsupported:
      fail(fmt::format("'{}' is not supported: a chat template stands alone", statement.text));
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run_branch(const Statement& statement) {
  for (std::size_t i = 0; i < statement.expressions.size(); ++i) {
    if (truth(evaluate(*statement.expressions[i]))) return run_all(statement.bodies[i]);
  }
  if (statement.bodies.size() > statement.expressions.size()) return run_all(statement.bodies.back());
  return Flow::next;
}

Interpreter::Flow Interpreter::run_scope(const Statements& body) {
  const Restore<std::shared_ptr<Scope>> restore(scope_, std::make_shared<Scope>(scope_));
  return run_all(body);
}

void Interpreter::run_loop(const Statement& statement, const Value& iterable, int depth) {
  const Value loop_value = heap_.object<LoopObject>();
  auto& loop = *static_cast<LoopObject*>(loop_value.object());
  loop.depth = depth;
  if (statement.recursive) {
    loop.statement = &statement;
    loop.scope = scope_;
  }
  loop.items = iterate(heap_, iterable);
  if (statement.expressions.size() > 1) {
    Values kept;
    for (Value& value : loop.items) {
      const Restore<std::shared_ptr<Scope>> restore(scope_, std::make_shared<Scope>(scope_));
      assign(statement.target, value);
      if (truth(evaluate(*statement.expressions[1]))) kept.push_back(std::move(value));
    }
    loop.items = std::move(kept);
  }
  const bool any_ended = run_loop_rounds(statement, loop, loop_value);
  loop.items.clear();
  loop.items.shrink_to_fit();
  if (!any_ended && statement.bodies.size() > 1) run_scope(statement.bodies[1]);
}

// Whether any round came to its end: without one, of no elements or cut short by break or continue, jinja2 runs the
// loop's else.
bool Interpreter::run_loop_rounds(const Statement& statement, LoopObject& loop, const Value& loop_value) {
  const Statements& body = statement.bodies[0];
  bool any_ended = false;
  for (loop.index = 0; loop.index < loop.items.size(); ++loop.index) {
    budget_.step();
    const Restore<std::shared_ptr<Scope>> restore(scope_, std::make_shared<Scope>(scope_));
    if (loop_name_ >= 0) set(loop_name_, loop_value);
    assign(statement.target, loop.items[loop.index]);
    const Flow flow = run_all(body);
    any_ended = any_ended || flow == Flow::next;
    if (flow == Flow::stop_loop) break;
  }
  return any_ended;
}

TextPtr Interpreter::capture(const Statements& body) {
  TextBuilder builder(budget_);
  const Restore<TextBuilder*> restore(out_, &builder);
  run_all(body);
  return builder.finish();
}

TextPtr Interpreter::capture_loop(const Statement& statement, const Value& iterable, int depth,
                                  const std::shared_ptr<Scope>& around) {
  const Deeper deeper(*this);
  TextBuilder builder(budget_);
  const Restore<TextBuilder*> restore(out_, &builder);
  const Restore<std::shared_ptr<Scope>> restore_scope(scope_, around);
  run_loop(statement, iterable, depth);
  return builder.finish();
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.targets.empty()) {
    if (!is_iterable(value)) fail(fmt::format("cannot unpack non-iterable {} object", type_name(value)));
    const Values items = iterate(heap_, value);
    if (items.size() != target.targets.size()) {
      fail(fmt::format("{} values to unpack, expected {}", items.size(), target.targets.size()));
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(target.targets[i], items[i]);
    return;
  }
  if (target.attribute.empty()) return set(target.name, value);
  const Value* owner = find(target.name);
  if (owner == nullptr || !owner->is(Kind::object) || owner->object()->kind != ObjectKind::name_space) {
    fail("cannot assign attribute on non-namespace object");
  }
  if (target.attribute.starts_with('_')) {
    fail(fmt::format("namespace attribute '{}' starts with an underscore", target.attribute));
  }
  heap_.set(*static_cast<Namespace*>(owner->object())->attributes, target.attribute, value);
}

void Interpreter::run_assignment(const Statement& statement) {
  if (statement.kind == StatementKind::assign) return assign(statement.target, evaluate(*statement.expressions[0]));
  TextPtr text;
  {
    const Restore<std::shared_ptr<Scope>> restore(scope_, std::make_shared<Scope>(scope_));
    text = capture(statement.bodies[0]);
  }
  Value value(std::move(text));
  if (!statement.expressions.empty()) value = evaluate_filter(*statement.expressions[0], &value);
  assign(statement.target, value);
}

Interpreter::Flow Interpreter::run_with(const Statement& statement) {
  Values values;
  for (const auto& expression : statement.expressions) values.push_back(evaluate(*expression));
  const Restore<std::shared_ptr<Scope>> restore(scope_, std::make_shared<Scope>(scope_));
  for (std::size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
  return run_all(statement.bodies[0]);
}

void Interpreter::run_call_block(const Statement& statement) {
  const Value caller = make_macro(statement);
  append_text(*out_, budget_, evaluate_call(*statement.expressions[0], &caller));
}

Value Interpreter::make_macro(const Statement& statement) {
  Value value = function(statement.text, [&statement, around = scope_](Interpreter& self, const Call& arguments) {
    return self.call_macro(statement, around, arguments);
  });
  static_cast<Function*>(value.object())->macro = &statement;
  return value;
}

Value Interpreter::call_macro(const Statement& statement, const std::shared_ptr<Scope>& around, const Call& arguments) {
  const Deeper deeper(*this);
  const Restore<std::shared_ptr<Scope>> restore(scope_, std::make_shared<Scope>(around));
  bind_parameters(statement, arguments);
  return Value(capture(statement.bodies[0]));
}

void Interpreter::bind_parameters(const Statement& statement, const Call& arguments) {
  const std::size_t n = statement.parameters.size();
  if (arguments.positional.size() > n && !statement.uses_varargs) {
    fail(fmt::format("macro '{}' takes not more than {} argument(s)", statement.text, n));
  }
  std::vector<bool> used(arguments.named.size());
  for (std::size_t i = 0; i < n; ++i) {
    const Parameter& parameter = statement.parameters[i];
    bool given = i < arguments.positional.size();
    if (given) set(parameter.name, arguments.positional[i]);
    for (std::size_t k = 0; k < arguments.named.size() && !given; ++k) {
      if (arguments.named[k].first != parameter.text) continue;
      set(parameter.name, arguments.named[k].second);
      used[k] = given = true;
    }
    if (given) continue;
    set(parameter.name, parameter.fallback
                            ? evaluate(*parameter.fallback)
                            : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.text)));
  }
  const bool names_caller = std::any_of(statement.parameters.begin(), statement.parameters.end(),
                                        [](const Parameter& parameter) { return parameter.text == "caller"; });
  if (statement.uses_caller && !names_caller) set(caller_name_, Value::undefined("no caller defined"));
  const Value rest = heap_.dict();
  for (std::size_t k = 0; k < arguments.named.size(); ++k) {
    if (used[k]) continue;
    const auto& [name, value] = arguments.named[k];
    if (name == "caller" && statement.uses_caller) {
      set(caller_name_, value);
    } else if (statement.uses_kwargs) {
      heap_.set(rest.dict(), name, value);
    } else {
      fail(fmt::format("macro '{}' takes no keyword argument '{}'", statement.text, name));
    }
  }
  if (statement.uses_kwargs) set(kwargs_name_, rest);
  if (statement.uses_varargs) {
    Values more;
    for (std::size_t i = n; i < arguments.positional.size(); ++i) more.push_back(arguments.positional[i]);
    set(varargs_name_, heap_.tuple(std::move(more)));
  }
}

Value Interpreter::function(std::string name, Function::Body body) {
  return heap_.object<Function>(std::move(name), std::move(body));
}

Value Interpreter::text_value(std::string_view text, bool foreign) {
  TextBuilder builder(budget_);
  builder.append(text, foreign);
  return Value(builder.finish());
}

Value Interpreter::call(const Value& callee, const Call& arguments) {
  if (callee.is_undefined()) fail_undefined(callee);
  if (callee.is(Kind::object)) {
    switch (callee.object()->kind) {
      case ObjectKind::function:
        return static_cast<Function*>(callee.object())->body(*this, arguments);
      case ObjectKind::joiner: {
        auto& joiner = *static_cast<Joiner*>(callee.object());
        return std::exchange(joiner.used, true) ? joiner.separator : Value::literal("");
      }
      case ObjectKind::loop: {
        const auto& loop = *static_cast<LoopObject*>(callee.object());
        if (loop.statement == nullptr) {
          fail("the loop must have the 'recursive' marker to be called recursively");
        }
        return Value(capture_loop(*loop.statement, arguments.need(0, "iterable"), loop.depth + 1, loop.scope));
      }
      default:
        break;
    }
  }
  fail(fmt::format("'{}' object is not callable", type_name(callee)));
}

Value Interpreter::evaluate(const Expression& node) {
  const Deeper deeper(*this);
  place_ = node.place;
  switch (node.kind) {
    case ExpressionKind::constant:
      return node.constant;
    case ExpressionKind::name:
      return evaluate_name(node);
    case ExpressionKind::list:
    case ExpressionKind::tuple:
      return evaluate_display(node);
    case ExpressionKind::dict:
      return evaluate_dict(node);
    case ExpressionKind::attribute: {
      const Value value = evaluate(*node.operands[0]);
      place_ = node.place;
      return attribute(value, node.text);
    }
    case ExpressionKind::item:
      return item(evaluate(*node.operands[0]), evaluate(*node.operands[1]));
    case ExpressionKind::slice:
      return evaluate_slice(node);
    case ExpressionKind::call:
      return evaluate_call(node);
    case ExpressionKind::filter:
      return evaluate_filter(node, nullptr);
    case ExpressionKind::test:
      return evaluate_test(node);
    case ExpressionKind::negate:
    case ExpressionKind::plus:
      return negate(evaluate(*node.operands[0]), node.kind == ExpressionKind::negate);
    case ExpressionKind::invert:
      return Value(!truth(evaluate(*node.operands[0])));
    case ExpressionKind::arithmetic:
      return evaluate_arithmetic(node);
    case ExpressionKind::concatenate:
      return evaluate_concatenation(node);
    case ExpressionKind::compare:
      return evaluate_comparison(node);
    case ExpressionKind::both: {
      Value left = evaluate(*node.operands[0]);
      return truth(left) ? evaluate(*node.operands[1]) : left;
    }
    case ExpressionKind::either: {
      Value left = evaluate(*node.operands[0]);
      return truth(left) ? left : evaluate(*node.operands[1]);
    }
    case ExpressionKind::conditional:
      if (truth(evaluate(*node.operands[0]))) return evaluate(*node.operands[1]);
      if (node.operands[2]) return evaluate(*node.operands[2]);
      return Value::undefined("the inline if-expression evaluated to false and no else section was defined");
  }
  return {};
}

}  // namespace llm::chat
