#include "line_template.h"

#include <fmt/format.h>

#include <algorithm>

#include "batch_fields.h"
#include "report.h"

namespace llmgen {

LineTemplate::LineTemplate(std::string_view pattern) {
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) parts_.push_back({.is_field = false, .text = std::move(text)});
    text.clear();
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if ((c == '{' || c == '}') && i + 1 < pattern.size() && pattern[i + 1] == c) {
      text += c;
      ++i;
    } else if (c == '{') {
      const std::size_t end = pattern.find('}', i);
      if (end == std::string_view::npos || end == i + 1) {
        throw llm::Error(llm::ErrorCode::usage,
                         fmt::format("--template: byte {}: found '{{' without a field, expected {{name}}, or {{{{ for "
                                     "a brace",
                                     i + 1));
      }
      end_text();
      parts_.push_back({.is_field = true, .text = std::string(pattern.substr(i + 1, end - i - 1))});
      i = end;
    } else {
      text += c;
    }
  }
  end_text();
}

bool LineTemplate::uses(std::string_view field) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.is_field && part.text == field; });
}

std::string LineTemplate::fill(const nlohmann::ordered_json& object) const {
  std::string out;
  for (const Part& part : parts_) {
    if (!part.is_field) {
      out += part.text;
      continue;
    }
    const auto value = object.find(part.text);
    if (value == object.end()) {
      throw RecordError(part.text, fmt::format("{}: the template needs this field, the line has none", part.text));
    }
    out += value->is_string() ? value->get<std::string>() : dump(*value);
  }
  return out;
}

}  // namespace llmgen
