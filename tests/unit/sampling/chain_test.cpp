#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <llm/error.hpp>
#include <llm/sampling.hpp>
#include <set>
#include <string>
#include <vector>

#include "sampling/sampler.h"

namespace llm::sampling {
namespace {

// A vocabulary of n tokens, token i is the i-th of `words` or "<i>".
TokenTable table(std::int32_t n, std::vector<std::string> words = {}) {
  for (auto i = static_cast<std::int32_t>(words.size()); i < n; ++i) words.push_back(fmt::format("<{}>", i));
  return TokenTable(n, [words](TokenId id) { return std::string_view(words[static_cast<std::size_t>(id)]); }, {});
}

// Nothing but the draw.
SamplingOptions plain() {
  SamplingOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  return o;
}

std::vector<float> logs(const std::vector<double>& p) {
  std::vector<float> logits;
  for (double v : p) logits.push_back(static_cast<float>(std::log(v)));
  return logits;
}

// Share of each token among draws at many positions.
std::vector<double> shares(const SamplingOptions& options, const TokenTable& tokens, const std::vector<float>& logits,
                           const std::vector<TokenId>& history = {}, int n = 20000) {
  Sampler sampler(options, tokens);
  const SamplerState start = sampler.state();
  std::vector<double> share(logits.size());
  for (int i = 0; i < n; ++i) {
    std::vector<float> row = logits;
    sampler.restore(start);
    share[static_cast<std::size_t>(sampler.sample(row, history, 7, i))] += 1.0 / n;
  }
  return share;
}

// 20,000 draws: five deviations of a share of one half are 0.018.
void expect_shares(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (expected[i] == 0 || expected[i] == 1) {
      EXPECT_NEAR(found[i], expected[i], 1e-9) << "token " << i;
    } else {
      EXPECT_NEAR(found[i], expected[i], 0.018) << "token " << i;
    }
  }
}

TEST(Chain, DrawsInProportionToProbability) {
  expect_shares(shares(plain(), table(4), logs({0.1, 0.4, 0.2, 0.3})), {0.1, 0.4, 0.2, 0.3});
}

TEST(Chain, TemperatureDividesLogits) {
  SamplingOptions o = plain();
  o.temperature = 0.5f;  // squares: 1, 16, 4, 9 of 30
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {1 / 30.0, 16 / 30.0, 4 / 30.0, 9 / 30.0});
}

TEST(Chain, TopKKeepsExactlyKAndCutsTiesByLowestId) {
  SamplingOptions o = plain();
  o.top_k = 2;
  expect_shares(shares(o, table(4), logs({0.1, 0.3, 0.3, 0.3})), {0, 0.5, 0.5, 0});
}

TEST(Chain, TopPKeepsTheShortestRunThatReachesP) {
  SamplingOptions o = plain();
  o.top_p = 0.6f;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 4 / 7.0, 0, 3 / 7.0});
  o.top_p = 0;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 1, 0, 0});
}

TEST(Chain, MinPComparesWithTheLikeliest) {
  SamplingOptions o = plain();
  o.min_p = 0.7f;  // threshold 0.28
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 4 / 7.0, 0, 3 / 7.0});
}

TEST(Chain, TypicalPKeepsTokensOfUsualSurprise) {
  // H = 1.2799; |-ln p - H|: 1.0227, 0.3636, 0.3295, 0.0759. In that order 0.3, 0.2 reach 0.45.
  SamplingOptions o = plain();
  o.typical_p = 0.45f;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 0, 0.4, 0.6});
}

TEST(Chain, TopNSigmaUsesPopulationDeviation) {
  // Mean 2, variance ((0-2)^2 + 0 + 0 + (4-2)^2) / 4 = 2: with n = 1.4 logits down to 2.0201 stay, with 1.5 to 1.8787.
  SamplingOptions o = plain();
  o.top_n_sigma = 1.4f;
  expect_shares(shares(o, table(4), {0, 2, 2, 4}), {0, 0, 0, 1});
  o.top_n_sigma = 1.5f;
  const double e2 = std::exp(2.0), total = 2 * e2 + std::exp(4.0);
  expect_shares(shares(o, table(4), {0, 2, 2, 4}), {0, e2 / total, e2 / total, std::exp(4.0) / total});
}

TEST(Chain, XtcLeavesTheLeastProbableOfTheTopChoices) {
  SamplingOptions o = plain();
  o.xtc_probability = 1;
  o.xtc_threshold = 0.25f;  // 0.4 and 0.3 qualify; 0.4 goes
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {1 / 6.0, 0, 2 / 6.0, 3 / 6.0});
  o.xtc_probability = 0.5f;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})),
                {0.05 + 1 / 12.0, 0.2, 0.1 + 2 / 12.0, 0.15 + 3 / 12.0});
  o.xtc_threshold = 0.35f;  // one qualifies: nothing happens
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0.1, 0.4, 0.2, 0.3});
}

TEST(Chain, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogitsOnce) {
  SamplingOptions o = plain();
  o.repeat_penalty = 2;
  // 2 -> 1, -1 -> -2, 1 untouched
  const double a = std::exp(1.0), b = std::exp(-2.0), c = std::exp(1.0), z = a + b + c;
  expect_shares(shares(o, table(3), {2, -1, 1}, {0, 1, 0, 0}), {a / z, b / z, c / z});
}

TEST(Chain, PresenceAndFrequencyPenaltiesSubtract) {
  SamplingOptions o = plain();
  o.presence_penalty = 0.5f;
  o.frequency_penalty = 0.25f;
  // token 0 three times: 2 - 0.75 - 0.5; token 1 once: 1 - 0.25 - 0.5
  const double a = std::exp(0.75), b = std::exp(0.25), c = 1, z = a + b + c;
  expect_shares(shares(o, table(3), {2, 1, 0}, {0, 1, 0, 0}), {a / z, b / z, c / z});
}

TEST(Chain, PenaltiesSeeOnlyTheLastTokens) {
  SamplingOptions o = plain();
  o.temperature = 0;
  o.presence_penalty = 10;
  o.repeat_last_n = 2;
  Sampler near(o, table(3));
  std::vector<float> row = {3, 2, 1};
  EXPECT_EQ(near.sample(row, std::vector<TokenId>{0, 1, 1}, 0, 3), 0);
  o.repeat_last_n = -1;
  Sampler all(o, table(3));
  row = {3, 2, 1};
  EXPECT_EQ(all.sample(row, std::vector<TokenId>{0, 1, 1}, 0, 3), 2);
}

TEST(Chain, DryPenalisesTheTokenThatWouldContinueARepeat) {
  SamplingOptions o = plain();
  o.dry_multiplier = 1;
  o.dry_base = 2;
  o.dry_allowed_length = 2;
  // "1 2 3 4 ... 1 2 3": three tokens match, followed by 4 -> 1 * 2^(3 - 2) = 2 less.
  const std::vector<TokenId> history = {1, 2, 3, 4, 5, 1, 2, 3};
  const double a = std::exp(-2.0), z = 5 + a;
  expect_shares(shares(o, table(6), std::vector<float>(6, 0.0f), history), {1 / z, 1 / z, 1 / z, 1 / z, a / z, 1 / z});
}

TEST(Chain, DryMatchesStopAtABreaker) {
  SamplingOptions o = plain();
  o.temperature = 0;
  o.dry_multiplier = 1;
  o.dry_breakers = {"\n", "STOP"};
  const std::vector<float> logits = {0, 0, 0, 0, 0.5f, 0};
  const auto choose = [&](const TokenTable& tokens, const std::vector<TokenId>& history) {
    std::vector<float> row = logits;
    Sampler sampler(o, tokens);
    return sampler.sample(row, history, 0, 0);
  };
  const std::vector<TokenId> history = {1, 2, 3, 4, 5, 1, 2, 3};
  EXPECT_EQ(choose(table(6, {"a", "b", "c", "d", "e", "f"}), history), 0);
  // Token 2 breaks: only one token matches behind it, fewer than allowed.
  EXPECT_EQ(choose(table(6, {"a", "b", "x\ny", "d", "e", "f"}), history), 4);
  // A breaker across tokens 1 and 2 does the same.
  EXPECT_EQ(choose(table(6, {"a", "xST", "OPy", "d", "e", "f"}), history), 4);
  // A token that is a breaker itself is never penalised.
  EXPECT_EQ(choose(table(6, {"a", "b", "c", "d", "\n", "f"}), history), 4);
}

TEST(Chain, DynamicTemperatureGrowsWithEntropy) {
  SamplingOptions o = plain();
  o.temperature = 1;
  o.dynatemp_range = 0.5f;
  // Uniform: normalised entropy 1, T = 1.5, still uniform.
  expect_shares(shares(o, table(2), {1, 1}), {0.5, 0.5});
  // p = 0.8, 0.2: H / ln 2 = 0.721928, T = 0.5 + 0.721928 = 1.221928; odds 4^(1 / T) = 3.1097.
  expect_shares(shares(o, table(2), logs({0.8, 0.2})), {3.1097 / 4.1097, 1 / 4.1097});
}

TEST(Chain, Mirostat2CutsSurpriseAboveMuAndLearns) {
  SamplingOptions o = plain();
  o.mirostat = 2;
  o.mirostat_tau = 1;  // mu = 2 bits: p >= 0.25
  o.mirostat_eta = 0.5f;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 4 / 7.0, 0, 3 / 7.0});
  Sampler sampler(o, table(4));
  std::vector<float> row = logs({0.1, 0.4, 0.2, 0.3});
  const TokenId id = sampler.sample(row, {}, 0, 0);
  const double bits = -std::log2(id == 1 ? 4 / 7.0 : 3 / 7.0);
  EXPECT_NEAR(sampler.state().mirostat_mu, 2 - 0.5 * (bits - 1), 1e-6);
}

TEST(Chain, Mirostat1CutsToTheEstimatedK) {
  // p ~ 1, 1/2, 1/4, 1/8: s = sum(t b) / sum(t^2), b = ln 2 each, t = ln 2, ln 1.5, ln 4/3:
  // s = 0.693147 * 1.386294 / (0.480453 + 0.164402 + 0.082761) = 1.320626, epsilon = 0.320626;
  // k = (0.320626 * 2^mu / (1 - 4^-0.320626))^(1 / 1.320626); mu = 1: (0.641252 / 0.358836)^0.757217 = 1.5522, of which
  // the whole part counts; mu = 2: (1.282504 / 0.358836)^0.757217 = 2.6236.
  SamplingOptions o = plain();
  o.mirostat = 1;
  o.mirostat_tau = 0.5f;
  expect_shares(shares(o, table(4), logs({0.125, 0.25, 0.5, 1.0})), {0, 0, 0, 1});
  o.mirostat_tau = 1;
  expect_shares(shares(o, table(4), logs({0.125, 0.25, 0.5, 1.0})), {0, 0, 1 / 3.0, 2 / 3.0});
}

TEST(Chain, MirostatReplacesOtherTruncations) {
  SamplingOptions o = plain();
  o.mirostat = 2;
  o.mirostat_tau = 5;
  o.top_k = 1;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0.1, 0.4, 0.2, 0.3});
}

TEST(Chain, AdaptivePrefersTokensNearTheTarget) {
  SamplingOptions o = plain();
  o.adaptive_target = 0.3f;  // the running mean starts at the target, so the aim is 0.3
  const std::vector<double> p = {0.1, 0.4, 0.2, 0.3};
  std::vector<double> expected;
  double total = 0;
  for (double v : p) {
    const double d = std::abs(v - 0.3) / 0.3;
    expected.push_back(std::exp(5 - 10 * d * d / (1 + d)));
    total += expected.back();
  }
  for (double& v : expected) v /= total;
  expect_shares(shares(o, table(4), logs(p)), expected);
}

TEST(Chain, AdaptiveAimMovesAgainstWhatWasChosen) {
  SamplingOptions o = plain();
  o.adaptive_target = 0.5f;
  o.adaptive_decay = 0;  // the mean is the last probability
  Sampler sampler(o, table(2));
  std::vector<float> row = logs({0.9, 0.1});
  const TokenId id = sampler.sample(row, {}, 0, 0);
  EXPECT_NEAR(sampler.state().adaptive_sum, id == 0 ? 0.9 : 0.1, 1e-6);
  EXPECT_EQ(sampler.state().adaptive_total_weight, 1);
}

TEST(Chain, OrderIsTheUsers) {
  SamplingOptions o = plain();
  o.temperature = 0.5f;
  o.top_p = 0.6f;
  // Temperature last: 0.4 + 0.3 pass, then squares 16 : 9.
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 16 / 25.0, 0, 9 / 25.0});
  // Temperature first: 16/30 = 0.533 < 0.6, so two stay as well; with P = 0.5 only one does.
  o.top_p = 0.5f;
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 16 / 25.0, 0, 9 / 25.0});
  o.samplers = {"temperature", "top_p"};
  expect_shares(shares(o, table(4), logs({0.1, 0.4, 0.2, 0.3})), {0, 1, 0, 0});
}

TEST(Chain, LogitBiasComesFirstAndMayForbid) {
  SamplingOptions o = plain();
  o.temperature = 0;
  o.logit_bias = {{2, 5.0f}, {1, -std::numeric_limits<float>::infinity()}};
  Sampler sampler(o, table(3));
  std::vector<float> row = {1, 9, 0};
  EXPECT_EQ(sampler.sample(row, {}, 0, 0), 2);
  o.logit_bias = {{3, 1.0f}};
  EXPECT_THROW(Sampler(o, table(3)), Error);
}

TEST(Options, ValuesOutOfRangeAreRefusedByName) {
  const auto message = [](auto&& change) {
    SamplingOptions o;
    change(o);
    try {
      o.validate();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::usage);
      return e.message();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(message([](SamplingOptions&) {}), "accepted");
  EXPECT_EQ(message([](SamplingOptions& o) { o.top_p = 1.5f; }), "top_p: found 1.5, expected a number from 0 to 1");
  EXPECT_THAT(message([](SamplingOptions& o) { o.temperature = NAN; }), testing::HasSubstr("temperature"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.repeat_penalty = 0; }), testing::HasSubstr("repeat_penalty"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.samplers = {"top_q"}; }), testing::HasSubstr("top_q"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.samplers = {"top_k", "top_k"}; }), testing::HasSubstr("at most once"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.mirostat = 3; }), testing::HasSubstr("mirostat"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.logit_bias = {{1, NAN}}; }), testing::HasSubstr("logit_bias"));
}

}  // namespace
}  // namespace llm::sampling
