#include "sampling/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace llm::sampling {
namespace {

TEST(LogProbs, AreTheLogarithmsOfTheSoftmax) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 4);
  for (std::size_t n : {1u, 5u, 64u, 65u, 5000u}) {
    std::vector<float> logits(n);
    for (float& v : logits) v = normal(random);
    double total = 0;
    for (float v : logits) total += std::exp(static_cast<double>(v));
    const LogProbs probs(logits);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(probs.of(static_cast<TokenId>(i)), static_cast<double>(logits[i]) - std::log(total), 2e-6);
    }
  }
}

TEST(LogProbs, TopIsSortedWithTiesByLowestId) {
  const std::vector<float> logits = {1, 3, 2, 3, 3, 0};
  const LogProbs probs(logits);
  std::vector<TokenLogprob> top;
  probs.top(4, top);
  std::vector<TokenId> ids;
  for (const TokenLogprob& t : top) {
    ids.push_back(t.id);
    EXPECT_EQ(t.logprob, probs.of(t.id));
  }
  EXPECT_EQ(ids, (std::vector<TokenId>{1, 3, 4, 2}));
  EXPECT_EQ(probs.best(), 1);
  probs.top(100, top);
  EXPECT_EQ(top.size(), logits.size());
  probs.top(0, top);
  EXPECT_TRUE(top.empty());
}

}  // namespace
}  // namespace llm::sampling
