#ifndef SAMPLING_CONSTRAINT_DFA_H
#define SAMPLING_CONSTRAINT_DFA_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sampling/constraint/budget.h"
#include "sampling/constraint/syntax.h"

namespace llm::sampling {

// A deterministic automaton over bytes. Every state can reach an accepting one; state 0 is the start. An automaton of
// the empty language has no states.
struct Dfa {
  static constexpr std::uint32_t dead = 0xffffffff;
  struct Edge {
    std::uint8_t low = 0, high = 0;
    std::uint32_t target = 0;
  };
  struct State {
    std::vector<Edge> edges;          // ascending
    std::vector<std::uint32_t> tags;  // of the languages that accept here, ascending
  };
  std::vector<State> states;

  bool empty() const { return states.empty(); }
  bool accepts(std::uint32_t state) const { return !states[state].tags.empty(); }
  std::uint32_t step(std::uint32_t state, std::uint8_t byte) const;
  // From `state` over all of `bytes`.
  std::uint32_t run(std::uint32_t state, std::string_view bytes) const;
  bool matches(std::string_view text) const;
};

// Union of languages, each with a tag, made deterministic. Limits: max_nfa_states, max_dfa_states, the budget.
class DfaBuilder {
 public:
  static constexpr std::size_t max_nfa_states = 200'000;
  static constexpr std::size_t max_dfa_states = 20'000;

  // `what` names the thing in errors and must outlive the builder.
  DfaBuilder(Budget& budget, std::string_view what) : budget_(budget), what_(what) { add_state(); }

  // The whole text is in the language of the expression; `search`: some part of it is.
  void add(const Syntax& syntax, std::uint32_t tag, bool search);
  void add_literal(std::string_view bytes, std::uint32_t tag);
  // Every UTF-8 text.
  void add_everything(std::uint32_t tag);
  Dfa build(std::size_t max_states = max_dfa_states);

 private:
  struct NfaState {
    std::vector<Dfa::Edge> edges;
    std::vector<std::uint32_t> next;              // without a byte
    std::vector<std::uint32_t> if_begin, if_end;  // without a byte, only at that end of the text
    std::vector<std::uint32_t> tags;
    bool live = false;
  };
  std::uint32_t add_state();
  std::uint32_t add_set(const CodePointSet& set, std::uint32_t from);
  std::uint32_t add_expr(const Syntax& syntax, std::uint32_t node, std::uint32_t from);
  void add_any_text(std::uint32_t state);
  void mark_live();
  void close(std::vector<std::uint32_t>& set, bool at_begin, bool at_end);

  Budget& budget_;
  std::string_view what_;
  std::vector<NfaState> nfa_;
  std::vector<std::uint32_t> mark_;  // generation in which a state was last seen
  std::uint32_t generation_ = 0;
};

// Texts of both languages; tags of the first.
Dfa intersect(const Dfa& a, const Dfa& b, Budget& budget, std::string_view what);
// Whether no text is in both.
bool disjoint(const Dfa& a, const Dfa& b, Budget& budget, std::string_view what);

}  // namespace llm::sampling

#endif
