#ifndef SAMPLING_CONSTRAINT_SYNTAX_H
#define SAMPLING_CONSTRAINT_SYNTAX_H

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace llm::sampling {

// What a regular expression or a grammar says, before it becomes an automaton.

struct CodePointRange {
  std::uint32_t low = 0, high = 0;
};

// A set of code points: ascending ranges with gaps between them, no surrogates.
class CodePointSet {
 public:
  CodePointSet() = default;
  CodePointSet(std::initializer_list<CodePointRange> ranges);
  static CodePointSet all();

  void add(std::uint32_t low, std::uint32_t high);
  void add(const CodePointSet& other);
  // The union of ranges in any order.
  static CodePointSet of(std::vector<CodePointRange> ranges);
  CodePointSet complement() const;
  const std::vector<CodePointRange>& ranges() const { return ranges_; }
  bool contains(std::uint32_t code_point) const;

 private:
  void normalise();
  std::vector<CodePointRange> ranges_;
};

// Up to four ranges of bytes, one after another: UTF-8 of a run of code points.
struct ByteSequence {
  struct Range {
    std::uint8_t low = 0, high = 0;
  };
  std::array<Range, 4> ranges;
  std::size_t size = 0;
};
std::vector<ByteSequence> utf8_sequences(const CodePointSet& set);

// Appends a code point, below 0x110000.
void append_utf8(std::string& text, std::uint32_t code_point);
// Reads the code point at text[at] and moves `at` behind it; false where the bytes are not UTF-8.
bool next_code_point(std::string_view text, std::size_t& at, std::uint32_t& code_point);

inline constexpr std::uint32_t unlimited = std::numeric_limits<std::uint32_t>::max();

struct Expr {
  enum class Kind : std::uint8_t { set, sequence, choice, repeat, rule, begin, end };
  Kind kind = Kind::sequence;  // a sequence of nothing is the empty text, a choice of nothing matches nothing
  std::vector<std::uint32_t> items = {};  // nodes of a sequence or choice; the one node of a repeat
  std::uint32_t index = 0;                // of the set or rule
  std::uint32_t min = 0, max = 0;         // of a repeat
};

struct Syntax {
  std::vector<Expr> nodes;
  std::vector<CodePointSet> sets;
  std::vector<std::uint32_t> rules;  // node of each rule
  std::vector<std::string> rule_names;
  std::uint32_t root = 0;  // node

  std::uint32_t add(Expr expr);
  std::uint32_t add_set(CodePointSet set);
  std::uint32_t add_text(std::string_view utf8);
  std::uint32_t add_repeat(std::uint32_t node, std::uint32_t min, std::uint32_t max);
};

// Limits of what people write; the message of the error names the one that is passed.
inline constexpr int max_nesting = 100;               // groups in a regular expression or grammar, levels of a schema
inline constexpr std::size_t max_source = 1 << 20;    // bytes
inline constexpr std::uint32_t max_repeat = 1000000;  // of x{m,n}

// Regular expressions as in JSON schema (ECMA-262, without look-around, back references and word boundaries).
// Throws Error(usage) that names the column.
Syntax parse_regex(std::string_view pattern);
// Grammars as llama.cpp's users write them; the rule `root` is the start. Throws Error(usage) with line and column.
Syntax parse_gbnf(std::string_view grammar);

}  // namespace llm::sampling

#endif
