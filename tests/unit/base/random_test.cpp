#include "base/random.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace llm {
namespace {

TEST(Random, IsAFunctionOfItsKey) {
  const RandomKey key{1, 2, 3, 4};
  EXPECT_EQ(random_bits(key), random_bits(key));
  std::set<std::uint64_t> seen = {random_bits(key)};
  for (const RandomKey other : {RandomKey{2, 2, 3, 4},
                                {1, 3, 3, 4},
                                {1, 2, 4, 4},
                                {1, 2, 3, 5},
                                {1, 2, 3 + (1ull << 32), 4},
                                {1 + (1ull << 32), 2, 3, 4},
                                {2, 1, 3, 4}}) {
    EXPECT_TRUE(seen.insert(random_bits(other)).second);
  }
}

TEST(Random, NumbersAreUniform) {
  constexpr int n = 100000;
  double sum = 0;
  double squares = 0;
  int cells[16] = {};
  for (int i = 0; i < n; ++i) {
    const double x = random_uniform({42, static_cast<std::uint64_t>(i % 10), static_cast<std::uint64_t>(i / 10), 0});
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    sum += x;
    squares += x * x;
    ++cells[static_cast<int>(x * 16)];
  }
  EXPECT_NEAR(sum / n, 0.5, 0.004);
  EXPECT_NEAR(squares / n, 1.0 / 3, 0.004);
  double chi = 0;
  for (const int count : cells) chi += std::pow(count - n / 16.0, 2) / (n / 16.0);
  EXPECT_LT(chi, 37.7);  // 15 degrees of freedom, 0.1 %
}

TEST(Random, EveryBitOfTheKeyChangesHalfOfTheResult) {
  const RandomKey base{0x123456789abcdef0, 17, 1000, 3};
  const std::uint64_t bits = random_bits(base);
  const auto changed = [&](const RandomKey& key) { return __builtin_popcountll(bits ^ random_bits(key)); };
  for (int i = 0; i < 64; ++i) {
    const std::uint64_t flip = std::uint64_t{1} << i;
    for (const RandomKey& key : {RandomKey{base.seed ^ flip, base.sequence, base.position, base.draw},
                                 {base.seed, base.sequence ^ flip, base.position, base.draw},
                                 {base.seed, base.sequence, base.position ^ flip, base.draw}}) {
      EXPECT_GE(changed(key), 12);
      EXPECT_LE(changed(key), 52);
    }
  }
}

}  // namespace
}  // namespace llm
