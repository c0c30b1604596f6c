#ifndef SAMPLING_CONSTRAINT_SCHEMA_SHAPE_H
#define SAMPLING_CONSTRAINT_SCHEMA_SHAPE_H

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sampling/constraint/decimal.h"
#include "sampling/constraint/schema_document.h"

namespace llm::sampling {

// Schemas that a value must satisfy all at once: ascending, each once. None of them: every value.
using Conjunction = std::vector<const Json*>;
void add_to(Conjunction& all, const Json* schema);

enum JsonType : std::uint8_t {
  type_null = 1,
  type_boolean = 2,
  type_number = 4,
  type_string = 8,
  type_array = 16,
  type_object = 32,
  all_types = 63
};

// `properties`, `patternProperties` and `additionalProperties` of one schema; they refer to each other only there.
struct ObjectPart {
  const Json* properties = nullptr;
  const Json* patterns = nullptr;
  const Json* additional = nullptr;
};
// `prefixItems` and `items` of one schema, or the older spelling of the two.
struct ArrayPart {
  const Json* prefix = nullptr;
  const Json* rest = nullptr;
};

// A schema without alternatives: for each type what a value of it must satisfy.
struct Shape {
  std::uint8_t types = all_types;
  NumberSpec number;
  std::vector<const Dfa*> patterns;  // a string is in all of them
  std::uint64_t min_length = 0, max_length = unlimited;
  std::vector<ObjectPart> objects;
  std::set<std::string> required;
  std::uint64_t min_properties = 0, max_properties = unlimited;
  std::vector<ArrayPart> arrays;
  std::uint64_t min_items = 0, max_items = unlimited;
  // `enum` or `const`: one of these, if it satisfies all the schemas that the shape was made from.
  std::optional<std::vector<const Json*>> values;
  // A keyword that only `values` make decidable.
  const Json* undecided = nullptr;
  std::string undecided_why;
};

// What a conjunction allows, as alternatives. Values in `values` satisfy the whole conjunction; nothing is undecided
// unless `lax`. Throws Error(usage) with the path of what cannot be decided.
std::vector<Shape> expand(SchemaDocument& document, const Conjunction& schemas, bool lax);

// What schema a property or an item must satisfy.
Conjunction schemas_of_name(SchemaDocument& document, const Shape& shape, const std::string& name);
Conjunction schemas_of_item(const Shape& shape, std::size_t index);

}  // namespace llm::sampling

#endif
