#ifndef SAMPLING_LOGPROBS_H
#define SAMPLING_LOGPROBS_H

#include <cstddef>
#include <span>
#include <vector>

#include <llm/engine.hpp>

namespace llm::sampling {

// Natural logarithms of the raw distribution: log-softmax of the logits as the model gave them, before any sampler.
class LogProbs {
 public:
  // `logits` [n_vocab] must live as long as this, unchanged.
  explicit LogProbs(std::span<const float> logits);

  float of(TokenId id) const;
  // Log of the sum of exp(logit): what of() takes from a logit.
  double log_sum() const { return log_sum_; }
  // The n likeliest, likeliest first, equal ones by id. `top` is overwritten.
  void top(std::size_t n, std::vector<TokenLogprob>& top) const;
  // The likeliest token, lowest id on ties.
  TokenId best() const;

 private:
  std::span<const float> logits_;
  std::vector<float> block_max_;  // of every 64 logits
  double log_sum_;
};

}  // namespace llm::sampling

#endif
