#ifndef SAMPLING_SAMPLER_H
#define SAMPLING_SAMPLER_H

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <llm/sampling.hpp>

#include "sampling/candidates.h"
#include "sampling/stage.h"
#include "sampling/token_mask.h"
#include "sampling/token_table.h"

namespace llm::sampling {

// Chooses tokens for one sequence: mask, logit bias, the chain in the order of SamplingOptions::samplers, one draw.
// The choice is a function of the arguments of sample() and of state(); everything else inside is scratch memory.
class Sampler {
 public:
  // Refers to the table, which must outlive it. Throws Error(usage) as SamplingOptions::validate does, and for a
  // logit bias outside the vocabulary.
  Sampler(const SamplingOptions& options, const TokenTable& tokens);

  // `logits` [n_vocab] are changed. `history`: prompt and output so far. `position`: of the token to choose.
  // Throws Error(internal) that names the position if a logit is not finite.
  TokenId sample(std::span<float> logits, std::span<const TokenId> history, std::uint64_t sequence_key,
                 std::int64_t position, const TokenMask* allowed = nullptr);

  // What adaptive samplers have learnt; restoring it takes tokens back.
  const SamplerState& state() const { return state_; }
  void restore(const SamplerState& state) { state_ = state; }
  // Whether logits alone decide: temperature 0.
  bool greedy() const { return greedy_; }

 private:
  std::uint64_t seed_;
  bool greedy_;
  std::vector<TokenId> biased_;  // ascending
  std::vector<float> bias_;      // of the same index
  std::vector<std::unique_ptr<Stage>> stages_;
  std::unique_ptr<Picker> picker_;  // null: one draw from the candidates
  Candidates candidates_;
  SamplerState state_;
};

}  // namespace llm::sampling

#endif
