#ifndef CHAT_FILTERS_H
#define CHAT_FILTERS_H

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/value.h"

namespace llm::chat {

class Interpreter;

// The arguments of a call, evaluated.
struct Call {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;

  // The value for parameter number `position` called `name`, null if it was not given.
  const Value* get(std::size_t position, std::string_view name) const;
  Value get(std::size_t position, std::string_view name, const Value& fallback) const;
  const Value& need(std::size_t position, std::string_view name) const;
  // Fails for arguments beyond these parameters.
  void check(std::string_view function, std::initializer_list<std::string_view> parameters) const;
};

using Filter = Value (*)(Interpreter&, const Value& input, const Call& call);
using Test = bool (*)(Interpreter&, const Value& input, const Call& call);

// null if there is none of that name.
Filter find_filter(std::string_view name);
Filter find_text_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);
Filter find_number_filter(std::string_view name);
Test find_test(std::string_view name);
inline bool is_filter(std::string_view name) {
  return find_filter(name) != nullptr;
}
inline bool is_test(std::string_view name) {
  return find_test(name) != nullptr;
}

}  // namespace llm::chat

#endif
