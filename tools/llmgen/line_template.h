#ifndef LLMGEN_LINE_TEMPLATE_H
#define LLMGEN_LINE_TEMPLATE_H

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace llmgen {

// "Summarise: {text}": a text with fields of a line filled in; {{ and }} stand for braces.
class LineTemplate {
 public:
  LineTemplate() = default;
  // Throws Error(usage).
  explicit LineTemplate(std::string_view pattern);

  bool empty() const { return parts_.empty(); }
  bool uses(std::string_view field) const;
  // Strings as they are, other values as JSON. Throws RecordError that names the field which the object has not.
  std::string fill(const nlohmann::ordered_json& object) const;

 private:
  struct Part {
    bool is_field;
    std::string text;
  };
  std::vector<Part> parts_;
};

}  // namespace llmgen

#endif
