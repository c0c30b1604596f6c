#ifndef SAMPLING_TOKEN_RULES_H
#define SAMPLING_TOKEN_RULES_H

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <llm/sampling.hpp>

#include "sampling/token_mask.h"
#include "sampling/token_table.h"

namespace llm::sampling {

// TokenRules of one answer: which token must come, which ones may not. A pure function of the ids so far.
class RuleSet {
 public:
  // max_tokens: of the answer; -1: unknown. Without `ends` no token ends the answer. Throws Error(usage) for ids
  // outside the vocabulary.
  RuleSet(const TokenRules& rules, const TokenTable& tokens, std::int64_t max_tokens, bool ends);

  bool empty() const { return !active_; }
  // The only token that may come as number n_generated of the answer.
  std::optional<TokenId> forced(std::int64_t n_generated) const;
  // Tokens that may come after `history` (prompt of the decoder and answer so far), of those in `base` (null: all).
  // Null: all of them. Valid until the next call. If nothing were left, the rules give way.
  const TokenMask* allowed(std::span<const TokenId> history, std::int64_t n_generated, const TokenMask* base);

 private:
  void ban(TokenId id);

  TokenRules rules_;
  std::int32_t n_vocab_;
  std::int64_t max_tokens_;
  std::vector<TokenId> ends_;  // tokens that end the answer
  bool active_;
  TokenMask mask_;
  bool has_banned_ = false;
};

}  // namespace llm::sampling

#endif
