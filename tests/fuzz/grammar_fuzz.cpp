// Compiles foreign bytes as a grammar and walks through what it accepts.
#include "constraint_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  llm::test::walk_constraint(data, size, [](std::string_view text) { return llm::Constraint::gbnf(text); });
  return 0;
}
