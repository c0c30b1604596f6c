// Choosing one token from a vocabulary of 262,144 and of 49,152: logits as models give them (a few likely tokens, a
// long tail), a history of 2,000 tokens.
#include <benchmark/benchmark.h>

#include <cmath>
#include <llm/sampling.hpp>
#include <random>
#include <string>
#include <vector>

#include "sampling/sampler.h"

namespace {

using llm::SamplingOptions;
using llm::TokenId;
using llm::sampling::Sampler;
using llm::sampling::TokenTable;

const TokenTable& table(std::int32_t n_vocab) {
  static const auto make = [](std::int32_t n) {
    std::vector<std::string> words;
    for (std::int32_t i = 0; i < n; ++i) words.push_back("w" + std::to_string(i));
    return TokenTable(n, [words](TokenId id) { return std::string_view(words[static_cast<std::size_t>(id)]); }, {});
  };
  static const TokenTable large = make(262144), small = make(49152);
  return n_vocab == 262144 ? large : small;
}

std::vector<float> logits(std::int32_t n_vocab) {
  std::mt19937 random(5);
  std::normal_distribution<float> tail(0.0f, 2.0f);
  std::vector<float> row(static_cast<std::size_t>(n_vocab));
  for (float& l : row) l = tail(random);
  for (int i = 0; i < 50; ++i) row[random() % row.size()] = 10 + 6 * static_cast<float>(i) / 50;
  return row;
}

void chain(benchmark::State& state, const SamplingOptions& options, std::int32_t n_vocab) {
  Sampler sampler(options, table(n_vocab));
  const std::vector<float> source = logits(n_vocab);
  std::vector<TokenId> history;
  std::mt19937 random(9);
  for (int i = 0; i < 2000; ++i) history.push_back(static_cast<TokenId>(random() % 500));
  std::vector<float> row(source.size());
  std::int64_t position = 2000;
  for (auto _ : state) {
    state.PauseTiming();
    row = source;
    state.ResumeTiming();
    benchmark::DoNotOptimize(sampler.sample(row, history, 1, position++));
  }
}

SamplingOptions greedy() {
  SamplingOptions o;
  o.temperature = 0;
  return o;
}

SamplingOptions everything() {
  SamplingOptions o;
  o.repeat_penalty = 1.1f;
  o.presence_penalty = o.frequency_penalty = 0.1f;
  o.dry_multiplier = 0.8f;
  o.top_n_sigma = 2;
  o.typical_p = 0.95f;
  o.xtc_probability = 0.5f;
  o.dynatemp_range = 0.3f;
  return o;
}

SamplingOptions mirostat(int version) {
  SamplingOptions o;
  o.mirostat = version;
  return o;
}

const int registered = [] {
  for (const std::int32_t n_vocab : {262144, 49152}) {
    const auto add = [&](const char* name, const SamplingOptions& options) {
      benchmark::RegisterBenchmark((std::string("chain/") + name + "/" + std::to_string(n_vocab)).c_str(),
                                   [=](benchmark::State& state) { chain(state, options, n_vocab); })
          ->Unit(benchmark::kMicrosecond);
    };
    add("greedy", greedy());
    add("default", SamplingOptions());
    add("everything", everything());
    add("mirostat_1", mirostat(1));
    add("mirostat_2", mirostat(2));
  }
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
