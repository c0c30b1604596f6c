#ifndef SAMPLING_CONSTRAINT_FORMATS_H
#define SAMPLING_CONSTRAINT_FORMATS_H

#include <optional>
#include <string>
#include <string_view>

namespace llm::sampling {

// A regular expression for the whole text of a JSON schema `format`; nullopt: not supported.
std::optional<std::string> format_pattern(std::string_view format);

}  // namespace llm::sampling

#endif
