#ifndef CHAT_PYTHON_LITERALS_H
#define CHAT_PYTHON_LITERALS_H

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm::chat {

// The value that a text is as a literal of Python (or JSON): strings, numbers, True, False, None, lists, tuples, dicts.
// Nothing if it is anything else, or nests deeper than 100.
std::optional<nlohmann::ordered_json> parse_python(std::string_view text);

// name(key=literal, ...) calls, one or a list of them; nothing if the text is anything else.
using PythonCall = std::pair<std::string, nlohmann::ordered_json>;  // name, arguments
std::optional<std::vector<PythonCall>> parse_python_calls(std::string_view text);

}  // namespace llm::chat

#endif
