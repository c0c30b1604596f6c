#ifndef LLM_CONSTRAINT_HPP
#define LLM_CONSTRAINT_HPP

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <llm/error.hpp>
#include <llm/export.hpp>

namespace llm {
inline namespace v1 {

/// A language that an answer must belong to, compiled to an automaton over bytes. Immutable, shared between threads.
/// Every maker throws Error(usage) that names the place and the cause; limits on size and time are part of it.
class LLM_API Constraint {
 public:
  struct JsonSchemaOptions {
    bool lax = false;  ///< ignore unsupported keywords instead of refusing them
  };
  static Constraint json_schema(std::string_view schema_json, JsonSchemaOptions options);
  static Constraint json_object();
  static Constraint regex(std::string_view pattern);
  static Constraint choice(const std::vector<std::string>& choices);
  static Constraint gbnf(std::string_view grammar);

  /// Whether `text` as a whole belongs to the language.
  bool accepts(std::string_view text) const;

  struct Impl;
  const std::shared_ptr<const Impl>& impl() const { return impl_; }

 private:
  explicit Constraint(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace v1
}  // namespace llm

#endif
