// Compiles foreign bytes as a JSON schema and walks through what it accepts.
#include "constraint_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  llm::test::walk_constraint(
      data, size, [size](std::string_view text) { return llm::Constraint::json_schema(text, {.lax = size % 2 == 1}); });
  return 0;
}
