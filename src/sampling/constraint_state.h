#ifndef SAMPLING_CONSTRAINT_STATE_H
#define SAMPLING_CONSTRAINT_STATE_H

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <llm/constraint.hpp>

#include "sampling/token_mask.h"
#include "sampling/token_trie.h"

namespace llm::sampling {

class Automaton;  // a constraint over one vocabulary: states met so far, their successors and masks
struct AutomatonState;

// How far one answer has come in its constraint. A value: a copy is a checkpoint. All states made from one
// ConstraintState by copying share what was computed; they may be used from several threads.
class ConstraintState {
 public:
  // The start. The index must outlive it.
  ConstraintState(const Constraint& constraint, const VocabularyIndex& vocabulary);

  // Appends a token or bytes. False, and nothing changes: no text of the language goes on like that. A token that ends
  // the answer is fine where can_end(). Throws Error(usage) that names a limit of the automaton.
  bool advance(TokenId token);
  bool advance(std::string_view bytes);

  // Whether the text so far is in the language; whether it is and nothing can be added.
  bool can_end() const;
  bool must_end() const;

  // Tokens that may come next, with those that end the answer where can_end(). Never empty. Throws as advance().
  std::shared_ptr<const TokenMask> mask() const;
  // The bytes that every text of the language goes on with from here, at most `limit`.
  std::string forced_bytes(std::size_t limit = 256) const;
  // Tokens for those bytes, the longest first at every place; the last bytes are left out if they might be the
  // beginning of a longer token.
  std::vector<TokenId> forced_tokens(std::size_t limit = 256) const;

 private:
  std::shared_ptr<Automaton> automaton_;
  std::shared_ptr<AutomatonState> state_;
};

}  // namespace llm::sampling

#endif
