#ifndef CHAT_STRING_METHODS_H
#define CHAT_STRING_METHODS_H

#include <string_view>

#include "chat/value.h"

namespace llm::chat {

class Interpreter;
struct Call;

// Parts of Python's str that filters share with methods. `chars` null: white space.
TextPtr strip(Budget& budget, const TextPtr& text, const Value* chars, bool left, bool right);
TextPtr replace(Budget& budget, const TextPtr& text, const Text& old, const Text& with, std::int64_t count);
TextPtr map_case(Budget& budget, const Text& text, char to);  // 'u', 'l', 't' (title), 'c' (capitalize), 's', 'f'
TextPtr centered(Budget& budget, const Text& text, std::int64_t width, std::string_view fill);
// Byte ranges of the lines, without or with their ends.
std::vector<std::pair<std::size_t, std::size_t>> line_ranges(const Text& text, bool keep_ends);
Values split_on_space(Heap& heap, const TextPtr& text, std::int64_t most);
// str.maketrans and str.translate.
Value make_translation(Interpreter& in, const Value& self, const Call& call);
Value translate(Interpreter& in, const Value& self, const Call& call);
// Argument that must be a string.
const Value& string_argument(const Value& value, std::string_view what);

}  // namespace llm::chat

#endif
