#ifndef SAMPLING_CONSTRAINT_SCHEMA_H
#define SAMPLING_CONSTRAINT_SCHEMA_H

#include <string_view>

#include "sampling/constraint/program.h"

namespace llm::sampling {

// A JSON schema (draft 4 to 2020-12) as an automaton over JSON texts. Throws Error(usage) that names the JSON path of
// what it cannot decide, unless `lax`, which ignores unsupported keywords.
Program compile_json_schema(std::string_view schema_json, bool lax);

}  // namespace llm::sampling

#endif
