#include <llm/constraint.hpp>

#include <fmt/format.h>

#include "sampling/constraint/impl.h"
#include "sampling/constraint/machine.h"
#include "sampling/constraint/schema.h"

namespace llm {
inline namespace v1 {
namespace {

std::shared_ptr<const Constraint::Impl> finish(sampling::Program program, std::string_view what) {
  auto impl = std::make_shared<Constraint::Impl>();
  impl->program = std::move(program);
  if (sampling::Machine(impl->program).start().empty()) {
    throw Error(ErrorCode::usage, fmt::format("{}: no text satisfies it", what));
  }
  return impl;
}

}  // namespace

Constraint::Constraint(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Constraint Constraint::regex(std::string_view pattern) {
  sampling::Budget budget;
  return Constraint(finish(sampling::compile_syntax(sampling::parse_regex(pattern), budget, "regex"), "regex"));
}

Constraint Constraint::gbnf(std::string_view grammar) {
  sampling::Budget budget;
  return Constraint(finish(sampling::compile_syntax(sampling::parse_gbnf(grammar), budget, "grammar"), "grammar"));
}

Constraint Constraint::choice(const std::vector<std::string>& choices) {
  if (choices.empty()) throw Error(ErrorCode::usage, "choice: found no choices, expected at least one");
  constexpr std::size_t max_states = 100'000;
  sampling::Budget budget;
  sampling::DfaBuilder builder(budget, "choice");
  for (const std::string& text : choices) {
    if (text.empty()) throw Error(ErrorCode::usage, "choice: found an empty choice, expected at least one byte");
    builder.add_literal(text, 0);
  }
  sampling::Program program;
  program.dfas.push_back(builder.build(max_states));
  program.add({.op = sampling::Op::ret});
  program.start = program.add({.op = sampling::Op::dfa, .next = 0, .arg = 0});
  return Constraint(finish(std::move(program), "choice"));
}

Constraint Constraint::json_schema(std::string_view schema_json, JsonSchemaOptions options) {
  return Constraint(finish(sampling::compile_json_schema(schema_json, options.lax), "json schema"));
}

Constraint Constraint::json_object() {
  return json_schema(R"({"type":"object"})", {});
}

bool Constraint::accepts(std::string_view text) const {
  sampling::Machine machine(impl_->program);
  sampling::Threads threads = machine.start();
  for (char c : text) {
    threads = machine.step(threads, static_cast<std::uint8_t>(c));
    if (threads.empty()) return false;
  }
  return sampling::Machine::finished(threads);
}

}  // namespace v1
}  // namespace llm
