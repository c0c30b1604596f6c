#include <gtest/gtest.h>

#include <filesystem>
#include <llm/llm.hpp>
#include <random>

#include "golden_entry.inc"

// A request's ids and the bits of its logits are the same alone and among others, preempted, taken from the prefix
// tree, in any chunks, on any number of threads: for models of every kind of state.

namespace {

constexpr int n_vocab = 80;
constexpr int n_wanted = 24;

// Ids and all log-probabilities of every step.
struct Trace {
  std::vector<llm::TokenId> ids;
  std::vector<std::pair<llm::TokenId, float>> logits;
  bool operator==(const Trace&) const = default;
};

Trace trace_of(const llm::Result& result) {
  Trace trace{.ids = result.ids, .logits = {}};
  for (const llm::GeneratedToken& token : result.tokens) {
    for (const llm::TokenLogprob& entry : token.top) trace.logits.emplace_back(entry.id, entry.logprob);
  }
  return trace;
}

struct Work {
  std::vector<llm::Request> requests;

  explicit Work(std::size_t n, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<llm::TokenId> common(70);
    for (llm::TokenId& id : common) id = static_cast<llm::TokenId>(3 + random() % (n_vocab - 3));
    for (std::size_t i = 0; i < n; ++i) {
      llm::Request request;
      request.prompt.assign(common.begin(),
                            common.begin() + static_cast<std::ptrdiff_t>(i % 3 == 0 ? 0 : 20 + random() % 50));
      const std::size_t n_own = 1 + random() % 40;
      for (std::size_t j = 0; j < n_own; ++j)
        request.prompt.push_back(static_cast<llm::TokenId>(3 + random() % (n_vocab - 3)));
      request.max_tokens = n_wanted;
      request.ignore_eos = true;
      request.n_logprobs = n_vocab;
      request.sampling.temperature = i % 2 == 0 ? 0.0f : 1.0f;
      request.sampling.seed = 5;
      request.sequence_key = i;
      requests.push_back(std::move(request));
    }
  }

  // In random order, some submitted while others run.
  std::vector<Trace> run(const llm::Model& model, const llm::EngineOptions& options, std::uint64_t seed,
                         std::uint64_t* n_preempted = nullptr) const {
    llm::Engine engine(model, options);
    std::vector<Trace> traces(requests.size());
    std::vector<std::size_t> order(requests.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::mt19937_64 random(seed);
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t i : order) {
      engine.submit(requests[i], [&traces, i](llm::Result result) {
        EXPECT_EQ(result.error, "");
        traces[i] = trace_of(result);
      });
      for (std::uint64_t n = random() % 4; n > 0; --n) engine.step();
    }
    while (engine.step()) continue;
    if (n_preempted != nullptr) *n_preempted = engine.counters().n_preempted;
    return traces;
  }
};

class Independence : public ::testing::TestWithParam<const char*> {
 protected:
  llm::Model model() const { return llm::Model::load(std::string(LLM_TEST_DATA "/golden/") + GetParam()); }
};

TEST_P(Independence, LogitsDoNotDependOnWhatElseRuns) {
  const llm::Model m = model();
  const llm::EngineOptions alone{.n_threads = 1, .n_context = 256, .share_prefixes = false};
  const Work work(17, 11);
  std::vector<Trace> reference;
  {
    llm::Engine engine(m, alone);
    for (const llm::Request& request : work.requests) {
      const llm::Result result = engine.generate(request);
      ASSERT_EQ(result.error, "");
      ASSERT_EQ(result.ids.size(), static_cast<std::size_t>(n_wanted));
      reference.push_back(trace_of(result));
    }
  }
  const std::uint64_t one = m.plan(192, llm::KvType::f16).state;
  std::vector<llm::EngineOptions> variants;
  for (const int n_sequences : {1, 3, 6, 17}) {
    variants.push_back({.n_threads = 2, .n_context = 256, .max_sequences = n_sequences});
  }
  for (const int chunk : {1, 3, 16, 64}) {
    variants.push_back({.n_threads = 1 + chunk % 2, .n_context = 256, .max_sequences = 4, .chunk = chunk});
  }
  variants.push_back({.n_threads = 2, .n_context = 256, .max_sequences = 8, .kv_memory = one * 2});
  variants.push_back(
      {.n_threads = 1, .n_context = 256, .max_sequences = 8, .kv_memory = one * 5 / 2, .share_prefixes = false});
  for (std::size_t v = 0; v < variants.size(); ++v) {
    const std::vector<Trace> traces = work.run(m, variants[v], 100 + v);
    for (std::size_t i = 0; i < traces.size(); ++i) {
      ASSERT_TRUE(traces[i] == reference[i]) << GetParam() << ": request " << i << ", variant " << v;
    }
  }
}

// Whether a second sequence can begin in a third of what the longest takes. Not so if its records, which are taken when
// it begins, are most of its state: then it waits, and nothing is ever taken back.
bool second_can_begin(const llm::Model& model) {
  return model.plan(64, llm::KvType::f16).state <= model.plan(192, llm::KvType::f16).state / 3;
}

TEST_P(Independence, LogitsDoNotDependOnOthersThatTakeTheMemoryAway) {
  const llm::Model m = model();
  const std::uint64_t one = m.plan(192, llm::KvType::f16).state;
  std::uint64_t n_all_preempted = 0;
  for (const int n_others : {2, 5, 16}) {
    const Work work(static_cast<std::size_t>(n_others) + 1, 30 + static_cast<std::uint64_t>(n_others));
    std::vector<Trace> reference;
    {
      llm::Engine engine(m, {.n_threads = 1, .n_context = 256, .share_prefixes = false});
      for (const llm::Request& request : work.requests) reference.push_back(trace_of(engine.generate(request)));
    }
    for (const bool share_prefixes : {true, false}) {
      // Room for one sequence and a little: those that run beside it have to give way when it grows.
      std::uint64_t n_preempted = 0;
      const std::vector<Trace> traces = work.run(m,
                                                 {.n_threads = 2,
                                                  .n_context = 256,
                                                  .max_sequences = n_others + 1,
                                                  .kv_memory = one + one / 3,
                                                  .share_prefixes = share_prefixes},
                                                 200 + static_cast<std::uint64_t>(n_others), &n_preempted);
      for (std::size_t i = 0; i < traces.size(); ++i) {
        ASSERT_TRUE(traces[i] == reference[i]) << GetParam() << ": request " << i << " among " << n_others;
      }
      n_all_preempted += n_preempted;
    }
  }
  if (second_can_begin(m)) {
    EXPECT_GT(n_all_preempted, 0u) << GetParam();
  }
}

TEST_P(Independence, LookupChangesNothing) {
  const llm::Model m = model();
  llm::Engine engine(m, {.n_threads = 1, .n_context = 256, .share_prefixes = false});
  std::mt19937_64 random(3);
  llm::Request request;
  for (int i = 0; i < 60; ++i) request.prompt.push_back(static_cast<llm::TokenId>(random() % 4));
  request.max_tokens = 60;
  request.n_logprobs = n_vocab;
  request.sampling.temperature = 0;
  const llm::Result plain = engine.generate(request);
  request.lookup = 8;
  EXPECT_TRUE(trace_of(engine.generate(request)) == trace_of(plain));
}

TEST_P(Independence, SessionGivesWhatTheEngineGives) {
  const llm::Model m = model();
  const Work work(2, 12);
  const llm::Request& request = work.requests[1];
  llm::Engine engine(m, {.n_threads = 1, .n_context = 256});
  const llm::Result expected = engine.generate(request);
  llm::Session session(m, {.n_threads = 2, .n_context = 256});
  const std::size_t half = request.prompt.size() / 2;
  session.eval(std::span(request.prompt).first(half));
  llm::Request rest = request;
  rest.prompt.erase(rest.prompt.begin(), rest.prompt.begin() + static_cast<std::ptrdiff_t>(half));
  EXPECT_TRUE(trace_of(session.generate(rest)) == trace_of(expected));
  // Back to the middle of the prompt and once more.
  session.truncate(half / 2);
  session.eval(std::span(request.prompt).subspan(half / 2, half - half / 2));
  EXPECT_TRUE(trace_of(session.generate(rest)) == trace_of(expected));
}

INSTANTIATE_TEST_SUITE_P(Models, Independence,
                         ::testing::Values("llama-gqa", "mistral-swa", "qwen2-swa", "gemma3", "mixtral", "qwen3_moe",
                                           "deepseek_v3", "mamba", "mamba2", "lfm2", "granitemoehybrid", "falcon_h1",
                                           "jamba", "qwen3_next", "recurrent_gemma", "rwkv"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
