#ifndef SAMPLING_CONSTRAINT_SCHEMA_DOCUMENT_H
#define SAMPLING_CONSTRAINT_SCHEMA_DOCUMENT_H

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "sampling/constraint/dfa.h"

namespace llm::sampling {

using Json = nlohmann::json;

// A schema as it was given: places, references and patterns in it.
class SchemaDocument {
 public:
  // Throws Error(usage) for text that is not JSON, or nests deeper than max_nesting.
  explicit SchemaDocument(std::string_view text);

  const Json& root() const { return root_; }
  // As in "#/properties/a": where a value of the document stands.
  std::string path(const Json& value) const;
  [[noreturn]] void refuse(const Json& value, std::string_view what) const;

  // The target of a "$ref". Throws Error(usage) if it is not in the document.
  const Json& resolve(const Json& ref) const;
  // Whether keywords beside "$ref" count: since draft 2019-09.
  bool ref_has_siblings() const { return ref_has_siblings_; }

  // Keeps a schema that is not part of the document, e.g. for a value of `const`; it reports the path of `origin`.
  const Json& keep(Json schema, const Json& origin);

  // Texts in which the pattern is found; texts in a format, or null if that is not supported. Compiled once.
  const Dfa& pattern(const std::string& source, const Json& where);
  const Dfa* format(const std::string& name);

  Budget& budget() { return budget_; }

 private:
  Json root_;
  std::deque<Json> kept_;
  std::unordered_map<const Json*, std::string> paths_;
  std::map<std::string, const Json*> anchors_;
  bool ref_has_siblings_ = true;
  const Json* inner_id_ = nullptr;  // a "$id" that is not the root's
  std::map<std::string, Dfa> patterns_, formats_;
  Budget budget_;
};

// The shortest text that is read as this number.
std::string number_text(const Json& number);

// Whether a value satisfies a schema. Numbers are compared as numbers.
bool is_valid(SchemaDocument& document, const Json& schema, const Json& value);

}  // namespace llm::sampling

#endif
