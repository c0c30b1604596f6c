#include "sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <llm/error.hpp>
#include <random>

#include "allocation_count.h"

namespace llm::sampling {
namespace {

TokenTable table(std::int32_t n) {
  return TokenTable(n, [](TokenId) { return std::string_view("x"); }, {});
}

std::vector<float> random_row(std::size_t n, unsigned seed, float deviation = 3) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> row(n);
  for (float& v : row) v = normal(engine);
  return row;
}

TEST(Sampler, TemperatureZeroTakesTheLikeliestWithTheLowestIdWhateverTheSeed) {
  for (std::size_t n : {1u, 2u, 63u, 64u, 65u, 1000u}) {
    std::vector<float> row(n, -1.0f);
    row[n / 2] = row[n - 1] = 4;
    for (std::uint64_t seed : {0u, 1u, 99u}) {
      SamplingOptions o;
      o.temperature = 0;
      o.seed = seed;
      o.xtc_probability = 1;
      Sampler sampler(o, table(static_cast<std::int32_t>(n)));
      std::vector<float> copy = row;
      EXPECT_EQ(sampler.sample(copy, {}, seed, 5), static_cast<TokenId>(n / 2));
    }
  }
}

TEST(Sampler, DrawsDependOnSeedSequenceAndPositionAlone) {
  SamplingOptions o;
  o.seed = 3;
  const std::vector<float> row = random_row(1000, 1);
  Sampler first(o, table(1000)), second(o, table(1000));
  std::vector<TokenId> forward, backward;
  for (int i = 0; i < 200; ++i) {
    std::vector<float> copy = row;
    forward.push_back(first.sample(copy, {}, 11, i));
  }
  for (int i = 199; i >= 0; --i) {
    std::vector<float> copy = row;
    backward.insert(backward.begin(), second.sample(copy, {}, 11, i));
  }
  EXPECT_EQ(forward, backward);
  std::vector<TokenId> other;
  for (int i = 0; i < 200; ++i) {
    std::vector<float> copy = row;
    other.push_back(first.sample(copy, {}, 12, i));
  }
  EXPECT_NE(forward, other);
}

TEST(Sampler, NonFiniteLogitsAreAnErrorThatNamesTheStep) {
  SamplingOptions o;
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    for (std::size_t at : {0u, 70u, 129u}) {
      for (float temperature : {0.0f, 1.0f}) {
        o.temperature = temperature;
        std::vector<float> row = random_row(130, 2);
        row[at] = bad;
        Sampler sampler(o, table(130));
        try {
          sampler.sample(row, {}, 0, 42);
          ADD_FAILURE() << "accepted " << bad << " at " << at;
        } catch (const Error& e) {
          EXPECT_THAT(e.message(), testing::HasSubstr("step 42"));
          EXPECT_THAT(e.message(), testing::HasSubstr("token " + std::to_string(at)));
        }
      }
    }
  }
}

TEST(Sampler, MaskedTokensAreNeverChosen) {
  for (float temperature : {0.0f, 5.0f}) {
    SamplingOptions o;
    o.temperature = temperature;
    o.top_k = 0;
    TokenMask mask(1000);
    for (TokenId id : {0, 77, 400, 999}) mask.set(id);
    Sampler sampler(o, table(1000));
    for (int i = 0; i < 300; ++i) {
      std::vector<float> row = random_row(1000, static_cast<unsigned>(i));
      EXPECT_TRUE(mask.test(sampler.sample(row, {}, 0, i, &mask)));
    }
  }
  Sampler sampler({}, table(1000));
  std::vector<float> row = random_row(1000, 3);
  const TokenMask empty(1000);
  EXPECT_THROW(sampler.sample(row, {}, 0, 0, &empty), Error);
}

TEST(Sampler, TruncationsOfWholeRowsEqualThoseOfLists) {
  // A chain that starts with "top_k = all but one" works on a list, the other on the row; tokens of a long tail decide
  // nothing, so both must choose alike.
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const std::size_t n = 50 + seed * 17;
    std::vector<float> row = random_row(n, seed, 1 + static_cast<float>(seed % 7));
    *std::min_element(row.begin(), row.end()) = -1000;
    SamplingOptions o;
    o.seed = seed;
    o.top_k = static_cast<int>(n) - 1;
    o.top_p = 0.9f;
    o.min_p = seed % 2 ? 0.01f : 0.0f;
    o.typical_p = seed % 3 ? 1.0f : 0.8f;
    o.xtc_probability = seed % 5 ? 0.0f : 1.0f;
    SamplingOptions on_row = o;
    on_row.top_k = 0;
    o.samplers = {"top_k", "temperature", "min_p", "xtc", "typical_p", "top_p"};
    if (seed % 2) o.samplers = {"top_k", "min_p", "xtc", "top_p", "temperature", "typical_p"};
    on_row.samplers = o.samplers;
    Sampler list(o, table(static_cast<std::int32_t>(n))), whole(on_row, table(static_cast<std::int32_t>(n)));
    for (int i = 0; i < 20; ++i) {
      std::vector<float> a = row, b = row;
      EXPECT_EQ(list.sample(a, {}, 0, i), whole.sample(b, {}, 0, i));
    }
  }
}

TEST(Sampler, RestoredStateRepeatsTheChoices) {
  SamplingOptions o;
  o.mirostat = 2;
  Sampler sampler(o, table(500));
  const SamplerState start = sampler.state();
  const auto run = [&] {
    std::vector<TokenId> ids;
    for (int i = 0; i < 50; ++i) {
      std::vector<float> row = random_row(500, static_cast<unsigned>(i));
      ids.push_back(sampler.sample(row, {}, 0, i));
    }
    return ids;
  };
  const std::vector<TokenId> first = run();
  sampler.restore(start);
  EXPECT_EQ(run(), first);
}

TEST(Sampler, DoesNotAllocateAfterTheFirstTokens) {
  SamplingOptions o;
  o.repeat_penalty = 1.1f;
  o.dry_multiplier = 0.8f;
  o.top_n_sigma = 2;
  o.typical_p = 0.9f;
  const std::vector<float> row = random_row(32000, 5);
  std::vector<TokenId> history(2000);
  for (std::size_t i = 0; i < history.size(); ++i) history[i] = static_cast<TokenId>(i % 37);
  std::vector<float> copy(row.size());
  const TokenTable tokens = table(32000);
  Sampler sampler(o, tokens);
  long before_loop = 0;
  for (int i = 0; i < 40; ++i) {
    if (i == 20) before_loop = allocation_count();
    std::copy(row.begin(), row.end(), copy.begin());
    sampler.sample(copy, history, 0, i);
  }
  EXPECT_EQ(allocation_count() - before_loop, 0);
}

}  // namespace
}  // namespace llm::sampling
