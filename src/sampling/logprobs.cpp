#include "sampling/logprobs.h"

#include <algorithm>

#include "sampling/passes.h"

namespace llm::sampling {

LogProbs::LogProbs(std::span<const float> logits) : logits_(logits), log_sum_(log_sum_exp(logits)) {}

float LogProbs::of(TokenId id) const {
  return static_cast<float>(static_cast<double>(logits_[static_cast<std::size_t>(id)]) - log_sum_);
}

void LogProbs::top(std::size_t n, std::vector<TokenLogprob>& top) const {
  n = std::min(n, logits_.size());
  top.clear();
  const auto likelier = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  };
  // A heap of the n best so far, worst in front. It holds logits until the end, so that ties are those of the logits.
  for (std::size_t i = 0; i < logits_.size() && n > 0; ++i) {
    if (top.size() == n && logits_[i] <= top.front().logprob) continue;
    if (top.size() == n) {
      std::pop_heap(top.begin(), top.end(), likelier);
      top.pop_back();
    }
    top.push_back({static_cast<TokenId>(i), logits_[i]});
    std::push_heap(top.begin(), top.end(), likelier);
  }
  std::sort(top.begin(), top.end(), likelier);
  for (TokenLogprob& t : top) t.logprob = of(t.id);
}

TokenId LogProbs::best() const {
  return static_cast<TokenId>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

}  // namespace llm::sampling
