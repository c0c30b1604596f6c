#include "sampling/logprobs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "sampling/passes.h"

namespace llm::sampling {

LogProbs::LogProbs(std::span<const float> logits)
    : logits_(logits), block_max_((logits.size() + block_size - 1) / block_size) {
  scan_blocks(logits, block_max_);
  const float max = max_of_block(block_max_);
  const double weight = softmax_sums(logits, block_max_, -std::numeric_limits<float>::infinity(), max, 1).weight;
  log_sum_ = static_cast<double>(max) + std::log(weight);
}

float LogProbs::of(TokenId id) const {
  return static_cast<float>(static_cast<double>(logits_[static_cast<std::size_t>(id)]) - log_sum_);
}

void LogProbs::top(std::size_t n, std::vector<TokenLogprob>& top) const {
  n = std::min(n, logits_.size());
  top.clear();
  const auto likelier = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  };
  if (n == 0) return;
  // The n-th largest block maximum has n logits at or above it.
  float threshold = -std::numeric_limits<float>::infinity();
  if (n < block_max_.size()) {
    std::vector<float> order = block_max_;
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n) - 1, order.end(), std::greater<>());
    threshold = order[n - 1];
  }
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    if (i % block_size == 0 && block_max_[i / block_size] < threshold) {
      i += block_size - 1;
    } else if (logits_[i] >= threshold) {
      top.push_back({static_cast<TokenId>(i), logits_[i]});
    }
  }
  // Ordered by logit, so that ties are those of the logits.
  std::sort(top.begin(), top.end(), likelier);
  top.resize(n);
  for (TokenLogprob& t : top) t.logprob = of(t.id);
}

TokenId LogProbs::best() const {
  return static_cast<TokenId>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

}  // namespace llm::sampling
