#ifndef SAMPLING_CONSTRAINT_JSON_STRING_H
#define SAMPLING_CONSTRAINT_JSON_STRING_H

#include <cstdint>
#include <functional>
#include <span>

#include "sampling/constraint/program.h"

namespace llm::sampling {

// Reads what stands between the quotes of a JSON string: UTF-8 and escapes. A character that needs no escape is
// written as itself; others by their short escape or \uXXXX (two of them beyond U+FFFF).
namespace json_string {

// The words of a frame.
enum : std::size_t { state, length, phase, value, n_words };

using Words = std::span<std::uint32_t, n_words>;

// Whether the automaton may stand at a state after so many code points.
using Alive = std::function<bool(std::uint32_t state, std::uint32_t length)>;

// Before the first character.
void start(Words words);
// Reads a byte that is not the closing quote. False: nothing alive continues like that.
bool read(Words words, std::uint8_t byte, const StringSpec& spec, const Alive& alive);
// Whether a character is complete, so that the string may end.
bool between_characters(std::span<const std::uint32_t, n_words> words);

}  // namespace json_string
}  // namespace llm::sampling

#endif
