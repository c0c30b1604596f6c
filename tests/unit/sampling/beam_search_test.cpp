#include "sampling/beam_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace llm::sampling {
namespace {

constexpr TokenId n_vocab = 5;

// Log-probabilities that depend on everything before: a random table for every beginning.
std::vector<float> row_after(const std::vector<TokenId>& ids, std::uint64_t seed) {
  std::seed_seq sequence(ids.begin(), ids.end());
  std::vector<std::uint32_t> words(2);
  sequence.generate(words.begin(), words.end());
  std::mt19937_64 random(seed ^ (std::uint64_t{words[0]} << 32 | words[1]));
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> row(n_vocab);
  double sum = 0;
  for (float& logit : row) sum += std::exp(static_cast<double>(logit = normal(random)));
  for (float& logit : row) logit = static_cast<float>(static_cast<double>(logit) - std::log(sum));
  return row;
}

std::vector<TokenId> ids_of(const BeamSearch& search, int node) {
  std::vector<TokenId> ids;
  for (const int at : search.path(node)) ids.push_back(search.nodes()[static_cast<std::size_t>(at)].token);
  return ids;
}

void run(BeamSearch& search, std::uint64_t seed) {
  do {
    for (std::size_t i = 0; i < search.live().size(); ++i) {
      search.offer(i, row_after(ids_of(search, search.live()[i].node), seed), 0, nullptr);
    }
  } while (search.advance());
}

struct Best {
  double score = -1e30;
  std::vector<TokenId> ids;
};

// Every answer there is.
void enumerate(std::vector<TokenId>& ids, double sum, std::int64_t most, double penalty, std::uint64_t seed,
               Best& best) {
  const std::vector<float> row = row_after(ids, seed);
  for (TokenId token = 0; token < n_vocab; ++token) {
    ids.push_back(token);
    const double total = sum + static_cast<double>(row[static_cast<std::size_t>(token)]);
    if (token == 0 || static_cast<std::int64_t>(ids.size()) == most) {
      const double score = total / std::pow(static_cast<double>(ids.size()), penalty);
      if (score > best.score) best = {score, ids};
    } else {
      enumerate(ids, total, most, penalty, seed, best);
    }
    ids.pop_back();
  }
}

// With as many beams as there are beginnings nothing is dropped: the best answer of all is found.
TEST(BeamSearch, FindsTheBestAnswerWhenNothingIsDropped) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const double penalty = std::vector<double>{0, 0.5, 1, 2}[seed % 4];
    const TokenId ends[] = {0};
    BeamSearch search({.n = 64, .length_penalty = static_cast<float>(penalty), .stop = BeamStop::never}, ends, 4);
    run(search, seed);
    Best best;
    std::vector<TokenId> ids;
    enumerate(ids, 0, 4, penalty, seed, best);
    EXPECT_EQ(ids_of(search, search.answers().front().node), best.ids);
    EXPECT_NEAR(search.answers().front().score, best.score, 1e-6);
  }
}

TEST(BeamSearch, OneBeamTakesTheLikeliestTokenEveryTime) {
  const TokenId ends[] = {0};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    BeamSearch search({.n = 1}, ends, 6);
    run(search, seed);
    std::vector<TokenId> greedy;
    while (greedy.size() < 6 && (greedy.empty() || greedy.back() != 0)) {
      const std::vector<float> row = row_after(greedy, seed);
      greedy.push_back(static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    EXPECT_EQ(ids_of(search, search.answers().front().node), greedy);
  }
}

TEST(BeamSearch, BreaksTiesByBeamAndId) {
  BeamSearch search({.n = 2}, {}, 3);
  const std::vector<float> flat(n_vocab, -1.0f);
  search.offer(0, flat, 0, nullptr);
  ASSERT_TRUE(search.advance());
  ASSERT_EQ(search.live().size(), 2u);
  EXPECT_EQ(search.live()[0].token, 0);
  EXPECT_EQ(search.live()[1].token, 1);
  search.offer(1, flat, 0, nullptr);
  search.offer(0, flat, 0, nullptr);
  ASSERT_TRUE(search.advance());
  EXPECT_EQ(search.live()[0].parent, 0);
  EXPECT_EQ(search.live()[1].parent, 0);
}

TEST(BeamSearch, GivesWhatIsUnderWayWhenItIsCut) {
  BeamSearch search({.n = 2}, {}, 9);
  search.cut();
  EXPECT_TRUE(search.answers().empty());
  BeamSearch other({.n = 2}, {}, 9);
  other.offer(0, row_after({}, 3), 0, nullptr);
  ASSERT_TRUE(other.advance());
  other.cut();
  ASSERT_EQ(other.answers().size(), 2u);
  EXPECT_FALSE(other.answers()[0].ended);
  EXPECT_GE(other.answers()[0].score, other.answers()[1].score);
}

}  // namespace
}  // namespace llm::sampling
