#ifndef SAMPLING_CONSTRAINT_PROGRAM_H
#define SAMPLING_CONSTRAINT_PROGRAM_H

#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "sampling/constraint/decimal.h"
#include "sampling/constraint/dfa.h"

namespace llm::sampling {

// The pushdown automaton as a program. A thread of it is a stack of frames; a frame is the words an instruction keeps,
// then the instruction's index. The names of the machines' words are in machine.cpp.
enum class Op : std::uint8_t {
  bytes,   // reads one byte of byte_sets[arg], goes to next
  choice,  // goes to each of choices[arg]
  call,    // runs `arg`, then next
  ret,
  repeat,  // runs `arg` between min and max times, then next; keeps a count
  dfa,     // reads a text of dfas[arg], then next
  string,  // reads a JSON string of strings[arg], from its first quote to the last
  number,  // reads a JSON number of numbers[arg]
  object,  // reads a JSON object of objects[arg]
  array,   // reads a JSON array of arrays[arg]
};

struct Inst {
  Op op = Op::ret;
  std::uint32_t next = 0, arg = 0;
  std::uint32_t min = 0, max = 0;
};

inline constexpr std::uint32_t no_target = 0xffffffff;

// The characters between the quotes of a JSON string.
struct StringSpec {
  bool any = true;  // every text; otherwise those of `dfa`
  Dfa dfa;
  std::uint32_t min_length = 0, max_length = unlimited;  // code points
  // live[count][state]: an accepting state can be reached with a length in bounds. Counts above the last row are as the
  // last one. Empty if the bounds need no table.
  std::vector<std::vector<bool>> live;

  bool alive(std::uint32_t state, std::uint32_t count) const;
  bool accepts(std::uint32_t state, std::uint32_t count) const;
};

// The keys of an object are told apart by one automaton; its tags are classes: first the literal names, then the keys
// of one set of patterns each.
struct ObjectSpec {
  StringSpec keys;
  std::uint32_t n_literals = 0;
  std::vector<std::uint32_t> values;                // [n_classes] instruction of the value, no_target: not allowed
  std::vector<std::uint32_t> class_of;              // [dfa state] class of a key that ends here, no_target: none
  std::vector<std::vector<std::uint64_t>> reaches;  // [dfa state] set of classes that can still be reached
  std::vector<bool> required;                       // [n_literals]
  std::uint32_t n_required = 0;
  std::uint32_t min_properties = 0, max_properties = unlimited;
  // Names outside the literals that have occurred are remembered until min_properties are there: a name that comes
  // twice counts once.
  std::uint32_t n_remembered = 0;
};

struct ArraySpec {
  std::vector<std::uint32_t> prefix;  // instructions of the first items, no_target: not allowed
  std::uint32_t rest = no_target;     // of the others
  std::uint32_t min_items = 0, max_items = unlimited;

  std::uint32_t item(std::uint32_t index) const { return index < prefix.size() ? prefix[index] : rest; }
};

struct Program {
  std::vector<Inst> code;
  std::uint32_t start = 0;
  std::vector<std::bitset<256>> byte_sets;
  std::vector<std::vector<std::uint32_t>> choices;
  std::vector<Dfa> dfas;
  std::vector<StringSpec> strings;
  std::vector<NumberSpec> numbers;
  std::vector<ObjectSpec> objects;
  std::vector<ArraySpec> arrays;

  static constexpr std::size_t max_code = 2'000'000;
  // Throws Error(usage) beyond max_code.
  std::uint32_t add(Inst inst);
  std::uint32_t add_choice(std::vector<std::uint32_t> targets);
};

// A regular expression as the whole text, or a grammar. Refuses left recursion and rules that match nothing finite, by
// name. `what`: "regex" or "grammar".
Program compile_syntax(const Syntax& syntax, Budget& budget, std::string_view what);

}  // namespace llm::sampling

#endif
