#ifndef CHAT_INTERPRETER_H
#define CHAT_INTERPRETER_H

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chat/ast.h"
#include "chat/filters.h"
#include "chat/value.h"

namespace llm::chat {

struct Function : Object {
  using Body = std::function<Value(Interpreter&, const Call&)>;
  Function(std::string function_name, Body function_body)
      : Object(ObjectKind::function), name(std::move(function_name)), body(std::move(function_body)) {}
  std::string name;
  Body body;
  const Statement* macro = nullptr;
};

// The variables of a block. Blocks read through to the blocks around them and write to themselves.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> around) : parent(std::move(around)) {}
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<NameId, Value>> values;
};

struct LoopObject : Object {
  LoopObject() : Object(ObjectKind::loop) {}
  Values items;
  std::size_t index = 0;
  int depth = 0;  // of recursion, from 0
  bool has_changed = false;
  Values changed;
  const Statement* statement = nullptr;  // of a recursive loop
  std::shared_ptr<Scope> scope;          // around the loop
};

struct Cycler : Object {
  explicit Cycler(Values values) : Object(ObjectKind::cycler), items(std::move(values)) {}
  Values items;
  std::size_t position = 0;
};

struct Joiner : Object {
  explicit Joiner(Value text) : Object(ObjectKind::joiner), separator(std::move(text)) {}
  Value separator;
  bool used = false;
};

class Interpreter;
using Method = Value (*)(Interpreter&, const Value& self, const Call& call);

// Runs a template once.
class Interpreter {
 public:
  Interpreter(const Template& source, const std::tm& now, const Limits& limits = {});

  Heap& heap() { return heap_; }
  Budget& budget() { return budget_; }
  const std::tm& now() const { return now_; }

  void define(std::string_view name, Value value);
  // From now on methods that change lists and dicts cannot be reached, as in jinja2's immutable sandbox.
  void forbid_changes() { may_change_ = false; }
  // Throws Error(usage) with line and column.
  TextPtr run();

  // For filters, tests and methods. All throw Failure.
  Value call(const Value& callee, const Call& arguments);
  Value filter(std::string_view name, const Value& input, const Call& arguments);
  bool test(std::string_view name, const Value& input, const Call& arguments);
  Value attribute(const Value& value, std::string_view name);  // value.name
  Value item(const Value& value, const Value& key);            // value[key]
  Value function(std::string name, Function::Body body);
  TextPtr text_of(const Value& value) { return to_text(budget_, value); }
  Value text_value(std::string_view text, bool foreign = false);

 private:
  enum class Flow { next, stop_loop, next_round };
  class Deeper;

  void define_globals();

  // statements
  Flow run_all(const Statements& statements);
  Flow run_one(const Statement& statement);
  Flow run_branch(const Statement& statement);
  void run_loop(const Statement& statement, const Value& iterable, int depth);
  bool run_loop_rounds(const Statement& statement, LoopObject& loop, const Value& loop_value);
  Flow run_scope(const Statements& body);
  void run_assignment(const Statement& statement);
  Flow run_with(const Statement& statement);
  void run_call_block(const Statement& statement);
  TextPtr capture(const Statements& body);
  TextPtr capture_loop(const Statement& statement, const Value& iterable, int depth,
                       const std::shared_ptr<Scope>& around);
  void assign(const Target& target, const Value& value);
  Value make_macro(const Statement& statement);
  Value call_macro(const Statement& statement, const std::shared_ptr<Scope>& around, const Call& arguments);
  void bind_parameters(const Statement& statement, const Call& arguments);

  // expressions
  Value evaluate(const Expression& node);
  Value evaluate_name(const Expression& node);
  Value evaluate_display(const Expression& node);
  Value evaluate_dict(const Expression& node);
  Value evaluate_slice(const Expression& node);
  Value evaluate_call(const Expression& node, const Value* caller = nullptr);
  Value evaluate_filter(const Expression& node, const Value* innermost);
  Value evaluate_test(const Expression& node);
  Value evaluate_arithmetic(const Expression& node);
  Value evaluate_concatenation(const Expression& node);
  Value evaluate_comparison(const Expression& node);
  Value negate(const Value& value, bool minus);
  Call evaluate_arguments(const Arguments* arguments);
  void spread(const Arguments& arguments, Call& call);

  void set(NameId name, Value value);
  const Value* find(NameId name) const;

  Method method_of(const Value& self, std::string_view name) const;
  Value object_attribute(const Value& value, std::string_view name, bool& found);
  Value loop_attribute(LoopObject& loop, const Value& value, std::string_view name, bool& found);

  const Template* template_;
  Budget budget_;
  Heap heap_;
  std::tm now_;
  std::unordered_map<std::string_view, NameId> ids_;
  std::shared_ptr<Scope> root_, scope_;
  std::vector<Value> globals_;  // by NameId; undefined where there is none
  std::vector<bool> has_global_;
  TextBuilder* out_ = nullptr;
  Place place_;
  int depth_ = 0;
  bool may_change_ = true;
  NameId loop_name_ = -1, caller_name_ = -1, varargs_name_ = -1, kwargs_name_ = -1;
};

// Guards one level of evaluation.
class Interpreter::Deeper {
 public:
  explicit Deeper(Interpreter& interpreter) : interpreter_(&interpreter) {
    interpreter.budget_.step();
    if (interpreter.depth_ >= interpreter.budget_.limits().depth) fail("the template recurses too deep");
    ++interpreter.depth_;
  }
  ~Deeper() { --interpreter_->depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Interpreter* interpreter_;
};

// arithmetic.cpp
Value arithmetic(Heap& heap, std::string_view op, const Value& a, const Value& b);
Value slice_value(Heap& heap, const Value& value, const Value& start, const Value& stop, const Value& step);

// methods: null if the type has none of that name.
Method find_method(const Value& self, std::string_view name);
// Methods that change a list or dict in place.
bool changes_containers(std::string_view name);
Method find_string_method(std::string_view name);
Method find_container_method(const Value& self, std::string_view name);

// format.cpp
Value format_percent(Heap& heap, const Value& format, const Value& arguments);
Value format_braces(Interpreter& interpreter, const Value& format, const Call& arguments);

// json.cpp
struct JsonStyle {
  bool ascii = false, sort_keys = false;
  bool has_indent = false;
  std::string indent, item_separator = ", ", key_separator = ": ";
};
TextPtr to_json(Budget& budget, const Value& value, const JsonStyle& style);
// Throws Error(usage) naming `what`. Integers keep their digits, objects their order.
Value from_json(Heap& heap, std::string_view json, std::string_view what);

// escape.cpp: & < > " ' for HTML.
TextPtr escape_html(Budget& budget, const Text& text);

}  // namespace llm::chat

#endif
