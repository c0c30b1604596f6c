#include <gtest/gtest.h>

#include <llm/error.hpp>
#include <memory>
#include <random>

#include "allocation_meter.inc"
#include "fake_model.h"

namespace llm::engine {
namespace {

constexpr std::uint64_t page = 4096;

struct Setup {
  std::vector<StateGroup> groups = {FakeModel::full()};
  std::uint64_t n_pages = 1000;
  std::int64_t max_sequences = 4, chunk = 8;
  bool share = true;
};

struct Rig {
  explicit Rig(const Setup& setup)
      : model(setup.groups),
        core(model, {.groups = setup.groups,
                     .block_tokens = 4,
                     .state_bytes = setup.n_pages * page,
                     .n_context = 256,
                     .n_source = 64,
                     .n_vocab = model.n_vocab,
                     .n_embd = 1,
                     .limits = {.max_rows = setup.chunk + setup.max_sequences,
                                .max_outputs = std::max<std::int64_t>(setup.max_sequences, 4),
                                .max_sequences = setup.max_sequences,
                                .chunk = setup.chunk},
                     .share_prefixes = setup.share}) {}

  std::unique_ptr<GreedyClient> start(std::vector<TokenId> prompt, std::int64_t n_wanted,
                                      std::vector<TokenId> source = {}) {
    const auto n = static_cast<std::int64_t>(prompt.size());
    auto client = std::make_unique<GreedyClient>(model, n, n_wanted);
    last_id = core.add(
        {.ids = std::move(prompt), .source = std::move(source), .max_ids = n + n_wanted, .outputs_from = n - 1},
        *client);
    return client;
  }
  void run() {
    while (core.step()) ASSERT_EQ(core.check(), "");
  }
  std::vector<TokenId> expected(std::vector<TokenId> ids, std::int64_t n,
                                const std::vector<TokenId>& source = {}) const {
    std::vector<TokenId> answer;
    for (std::int64_t i = 0; i < n; ++i) {
      answer.push_back(model.next(ids, source));
      ids.push_back(answer.back());
    }
    return answer;
  }

  FakeModel model;
  EngineCore core;
  EngineCore::Id last_id = 0;
};

std::vector<TokenId> random_ids(std::mt19937_64& random, std::size_t n, TokenId n_vocab = 13) {
  std::vector<TokenId> ids(n);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<std::uint64_t>(n_vocab));
  return ids;
}

const std::vector<std::vector<StateGroup>> kinds = {
    {FakeModel::full()},
    {FakeModel::windowed(6)},
    {FakeModel::record()},
    {FakeModel::full(), FakeModel::windowed(6)},
    {FakeModel::full(), FakeModel::record()},
    {FakeModel::full(), FakeModel::windowed(9), FakeModel::record()},
};

TEST(EngineCore, AnswerIsThatOfTheIdsForAnyChunk) {
  std::mt19937_64 random(1);
  for (const auto& groups : kinds) {
    for (const std::int64_t chunk : {1, 2, 3, 8, 64}) {
      Rig rig({.groups = groups, .chunk = chunk});
      const std::vector<TokenId> prompt = random_ids(random, 29);
      auto client = rig.start(prompt, 20);
      rig.run();
      EXPECT_EQ(client->answer, rig.expected(prompt, 20));
    }
  }
}

TEST(EngineCore, AnswersAreTheSameAmongOthersWithAPoolTooSmall) {
  std::mt19937_64 random(2);
  for (const auto& groups : kinds) {
    for (const std::uint64_t n_pages : {36u, 60u, 1000u}) {
      Rig rig({.groups = groups, .n_pages = n_pages, .max_sequences = 5});
      std::vector<std::vector<TokenId>> prompts;
      std::vector<std::unique_ptr<GreedyClient>> clients;
      const std::vector<TokenId> common = random_ids(random, 10);
      for (int i = 0; i < 17; ++i) {
        prompts.push_back(common);
        const std::vector<TokenId> own = random_ids(random, 1 + random() % 10);
        prompts.back().insert(prompts.back().end(), own.begin(), own.end());
        clients.push_back(rig.start(prompts.back(), 15));
      }
      rig.run();
      for (std::size_t i = 0; i < clients.size(); ++i) {
        ASSERT_TRUE(clients[i]->ended);
        EXPECT_EQ(clients[i]->answer, rig.expected(prompts[i], 15));
      }
      if (n_pages == 36 && groups.size() == 3) {
        EXPECT_GT(rig.core.counters().n_preempted, 0u);
      }
    }
  }
}

TEST(EngineCore, RepeatedPromptIsTakenFromTheTree) {
  std::mt19937_64 random(3);
  for (const auto& groups : kinds) {
    Rig rig({.groups = groups});
    const std::vector<TokenId> prompt = random_ids(random, 30);
    auto first = rig.start(prompt, 3);
    rig.run();
    auto second = rig.start(prompt, 3);
    rig.run();
    EXPECT_EQ(first->n_cached, 0);
    EXPECT_GE(second->n_cached, 24);
    EXPECT_EQ(second->answer, first->answer);
  }
}

TEST(EngineCore, BranchesOfAPromptShareRecurrentStateFromTheThirdOn) {
  Rig rig({.groups = {FakeModel::full(), FakeModel::record()}});
  std::mt19937_64 random(4);
  const std::vector<TokenId> common = random_ids(random, 22);
  std::vector<std::int64_t> cached;
  for (int i = 0; i < 4; ++i) {
    std::vector<TokenId> prompt = common;
    prompt.push_back(static_cast<TokenId>(i));
    for (int j = 0; j < 20; ++j) prompt.push_back(static_cast<TokenId>((i + j) % 13));
    auto client = rig.start(prompt, 2);
    rig.run();
    cached.push_back(client->n_cached);
    EXPECT_EQ(client->answer, rig.expected(prompt, 2));
  }
  EXPECT_EQ(cached, (std::vector<std::int64_t>{0, 0, 22, 22}));
}

TEST(EngineCore, SharedPrefixIsComputedOnceWhateverTheState) {
  std::mt19937_64 random(5);
  for (const auto& groups : kinds) {
    for (const std::size_t n_common : {200u, 203u, 17u}) {
      for (const std::size_t n_own : {1u, 4u, 11u}) {
        for (const std::int64_t chunk : {8, 32, 500}) {
          Rig rig({.groups = groups, .n_pages = 10'000, .max_sequences = 8, .chunk = chunk});
          const std::vector<TokenId> common = random_ids(random, n_common);
          std::vector<std::vector<TokenId>> prompts;
          std::vector<std::unique_ptr<GreedyClient>> clients;
          for (int i = 0; i < 50; ++i) {
            prompts.push_back(common);
            for (const TokenId id : random_ids(random, n_own)) prompts.back().push_back(id);
            clients.push_back(rig.start(prompts.back(), 2));
          }
          rig.run();
          for (std::size_t i = 0; i < clients.size(); ++i) {
            ASSERT_EQ(clients[i]->answer, rig.expected(prompts[i], 2));
          }
          // The second of two tokens is not evaluated. A state with a record may be one line late.
          const std::uint64_t work = n_common + 50 * (n_own + 1);
          EXPECT_LE(rig.core.counters().n_rows, work + n_common / 2 + 8)
              << groups.size() << " groups, " << n_common << " + " << n_own << " ids, chunk " << chunk;
        }
      }
    }
  }
}

TEST(EngineCore, EqualPromptsAreComputedOnceWhateverTheState) {
  for (const auto& groups : kinds) {
    Rig rig({.groups = groups, .n_pages = 10'000, .max_sequences = 8, .chunk = 32});
    std::mt19937_64 random(15);
    const std::vector<TokenId> prompt = random_ids(random, 90);
    std::vector<std::unique_ptr<GreedyClient>> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(rig.start(prompt, 5));
    rig.run();
    for (const auto& client : clients) EXPECT_EQ(client->answer, rig.expected(prompt, 5));
    EXPECT_LE(rig.core.counters().n_rows, 90u + 8 * 5 + 8);
  }
}

TEST(EngineCore, PromptsAndSingleTokensShareSteps) {
  Rig rig({.max_sequences = 16, .chunk = 32});
  std::mt19937_64 random(6);
  std::vector<std::unique_ptr<GreedyClient>> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(rig.start(random_ids(random, 8), 20));
  rig.run();
  EXPECT_LE(rig.core.counters().n_steps, 30u);
}

TEST(EngineCore, EncoderRunsOnceBeforeTheDecoder) {
  std::mt19937_64 random(7);
  const std::vector<StateGroup> groups = {FakeModel::full(), FakeModel::source()};
  for (const std::uint64_t n_pages : {8u, 1000u}) {
    Rig rig({.groups = groups, .n_pages = n_pages, .max_sequences = 3});
    std::vector<std::vector<TokenId>> sources;
    std::vector<std::unique_ptr<GreedyClient>> clients;
    for (int i = 0; i < 6; ++i) {
      sources.push_back(random_ids(random, 5 + random() % 6));
      clients.push_back(rig.start({1}, 10, sources.back()));
    }
    rig.run();
    for (std::size_t i = 0; i < clients.size(); ++i) {
      EXPECT_EQ(clients[i]->answer, rig.expected({1}, 10, sources[i]));
    }
  }
}

// Sequences that become copies of each other go on as if they had been computed by themselves; also where memory is so
// short that they take each other's state.
TEST(EngineCore, CopiesGoOnFromOneBeginning) {
  struct Seen : SequenceClient {
    Advance advance(const StepOutputs& outputs, std::vector<TokenId>&) override {
      const std::span<float> row = outputs.row(outputs.n_rows - 1);
      logits.assign(row.begin(), row.end());
      const std::int64_t n = outputs.position + outputs.n_rows;
      return {.n_valid = n, .outputs_from = n, .n_guesses = 0, .done = false};
    }
    void fail(const std::exception_ptr& e) override { error = e; }
    void began(std::int64_t) override {}
    std::vector<float> logits;
    std::exception_ptr error;
  };
  std::vector<std::vector<StateGroup>> all(std::begin(kinds), std::end(kinds));
  all.push_back({FakeModel::full(), FakeModel::source()});
  for (const auto& groups : all) {
    const bool has_source = groups.back().kind == StateKind::per_source;
    for (const std::uint64_t n_pages : {24u, 1000u}) {
      for (const std::int64_t max_sequences : {1, 2, 8}) {
        Rig rig({.groups = groups, .n_pages = n_pages, .max_sequences = max_sequences});
        std::mt19937_64 random(11);
        const std::vector<TokenId> source = has_source ? random_ids(random, 7) : std::vector<TokenId>();
        Seen clients[3];
        EngineCore::Id ids[3];
        for (int i = 0; i < 3; ++i) {
          const bool first = i == 0;
          const std::vector<TokenId> prompt = first ? random_ids(random, 9) : std::vector<TokenId>();
          ids[i] = rig.core.add({.ids = prompt,
                                 .source = first ? source : std::vector<TokenId>(),
                                 .max_ids = 60,
                                 .outputs_from = first ? 8 : 0,
                                 .held = true},
                                clients[i]);
        }
        while (clients[0].logits.empty()) {
          rig.core.step();
          ASSERT_EQ(rig.core.check(), "");
        }
        rig.core.copy(ids[0], ids[1]);
        rig.core.copy(ids[0], ids[2]);
        for (int round = 0; round < 20; ++round) {
          for (int i = 0; i < 3; ++i) {
            clients[i].logits.clear();
            rig.core.extend(ids[i], static_cast<TokenId>(random() % 13));
          }
          const auto waits = [&] {
            return std::any_of(std::begin(clients), std::end(clients), [](const Seen& c) { return c.logits.empty(); });
          };
          for (int steps = 0; waits(); ++steps) {
            ASSERT_LT(steps, 200);
            rig.core.step();
            ASSERT_EQ(rig.core.check(), "");
          }
          for (int i = 0; i < 3; ++i) {
            const std::uint64_t h = rig.model.expected(rig.core.ids(ids[i]), source);
            for (std::int64_t v = 0; v < rig.model.n_vocab; ++v) {
              ASSERT_EQ(clients[i].logits[static_cast<std::size_t>(v)], rig.model.logit(h, v));
            }
          }
          const std::size_t from = random() % 3, to = random() % 3;
          if (from != to) rig.core.copy(ids[from], ids[to]);
        }
        for (const EngineCore::Id id : ids) rig.core.remove(id);
        ASSERT_EQ(rig.core.check(), "");
      }
    }
  }
}

TEST(EngineCore, FailedStepLeavesOtherSequencesAsTheyWere) {
  for (const auto& groups : kinds) {
    Rig rig({.groups = groups});
    std::mt19937_64 random(8);
    const std::vector<TokenId> prompt = random_ids(random, 30);
    struct Held : GreedyClient {
      using GreedyClient::GreedyClient;
    } client(rig.model, 30, 5);
    const EngineCore::Id id = rig.core.add({.ids = prompt, .max_ids = 100, .outputs_from = 29, .held = true}, client);
    rig.model.fail_at = 3;
    for (int i = 0; i < 3; ++i) rig.core.step();
    ASSERT_TRUE(client.error != nullptr);
    EXPECT_EQ(rig.core.check(), "");
    EXPECT_EQ(rig.core.ids(id), prompt);
    while (!client.ended) ASSERT_TRUE(rig.core.step());
    EXPECT_EQ(client.answer, rig.expected(prompt, 5));
  }
}

TEST(EngineCore, SequenceThatNeverFitsIsRefusedAndTheNextOnesRun) {
  Rig rig({.n_pages = 5});
  std::mt19937_64 random(9);
  auto large = rig.start(random_ids(random, 60), 2);
  const std::vector<TokenId> prompt = random_ids(random, 6);
  auto small = rig.start(prompt, 4);
  rig.run();
  ASSERT_TRUE(large->error != nullptr);
  try {
    std::rethrow_exception(large->error);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::memory);
  }
  EXPECT_EQ(small->answer, rig.expected(prompt, 4));
}

TEST(EngineCore, RemovedSequenceIsGoneBeforeTheNextStep) {
  Rig rig({.share = false});
  auto client = rig.start({1, 2, 3}, 50);
  rig.core.step();
  rig.core.step();
  rig.core.remove(rig.last_id);
  EXPECT_EQ(rig.core.pool().used_bytes(), 0u);
  EXPECT_FALSE(rig.core.step());
}

TEST(EngineCore, TruncatedSequenceGoesOnFromThere) {
  std::mt19937_64 random(10);
  for (const auto& groups : kinds) {
    Rig rig({.groups = groups});
    const std::vector<TokenId> prompt = random_ids(random, 30);
    GreedyClient first(rig.model, 30, 5);
    const EngineCore::Id id = rig.core.add({.ids = prompt, .max_ids = 100, .outputs_from = 29, .held = true}, first);
    while (!first.ended) rig.core.step();
    rig.core.truncate(id, 17);
    std::vector<TokenId> now(prompt.begin(), prompt.begin() + 17);
    EXPECT_EQ(rig.core.ids(id), now);
    const std::vector<TokenId> more = {3, 1, 4};
    now.insert(now.end(), more.begin(), more.end());
    GreedyClient second(rig.model, 20, 5);
    rig.core.append(id, more, 19, second);
    while (!second.ended) ASSERT_TRUE(rig.core.step());
    EXPECT_EQ(second.answer, rig.expected(now, 5));
    EXPECT_EQ(rig.core.check(), "");
  }
}

TEST(EngineCore, StepsAllocateNothing) {
  for (const auto& groups : kinds) {
    Rig rig({.groups = groups, .max_sequences = 3});
    std::vector<std::unique_ptr<GreedyClient>> clients;
    for (TokenId i = 0; i < 3; ++i) {
      clients.push_back(rig.start({i, 2, 3}, 200));
      clients.back()->answer.reserve(300);
    }
    for (int i = 0; i < 10; ++i) rig.core.step();
    test::AllocationMeter::start();
    for (int i = 0; i < 100; ++i) rig.core.step();
    EXPECT_EQ(test::AllocationMeter::n_allocations(), 0u);
  }
}

// Takes the parts of its results in prepare() and compares them with what advance() sees.
struct PartsClient : GreedyClient {
  using GreedyClient::GreedyClient;

  std::int64_t n_parts(const StepOutputs& outputs) override {
    parts.assign(static_cast<std::size_t>(outputs.n_rows), -1);
    return outputs.n_rows;
  }
  void prepare(const StepOutputs& outputs, const std::vector<TokenId>&, std::int64_t part) override {
    EXPECT_EQ(parts[static_cast<std::size_t>(part)], -1);
    parts[static_cast<std::size_t>(part)] = model->best(outputs.row(part));
  }
  Advance advance(const StepOutputs& outputs, std::vector<TokenId>& ids) override {
    EXPECT_EQ(static_cast<std::int64_t>(parts.size()), outputs.n_rows);
    for (std::int64_t i = 0; i < outputs.n_rows; ++i) {
      EXPECT_EQ(parts[static_cast<std::size_t>(i)], model->best(outputs.row(i)));
    }
    n_rows_seen += outputs.n_rows;
    if (outputs.position + outputs.n_rows == n_prompt) return GreedyClient::advance(outputs, ids);
    const std::int64_t n = outputs.position + outputs.n_rows;
    return {.n_valid = n, .outputs_from = n, .n_guesses = 0, .done = false};
  }

  std::vector<TokenId> parts;
  std::int64_t n_rows_seen = 0;
};

TEST(EngineCore, PartsOfResultsArePreparedOnceBeforeTheyAreSeen) {
  Rig rig({.max_sequences = 3});
  std::mt19937_64 random(12);
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::unique_ptr<PartsClient>> clients;
  for (int i = 0; i < 5; ++i) {
    prompts.push_back(random_ids(random, 12));
    clients.push_back(std::make_unique<PartsClient>(rig.model, 12, 1));
    // Results of the last five ids, over several steps.
    rig.core.add({.ids = prompts.back(), .max_ids = 13, .outputs_from = 7}, *clients.back());
  }
  rig.run();
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i]->n_rows_seen, 5);
    EXPECT_EQ(clients[i]->answer, rig.expected(prompts[i], 1));
  }
}

TEST(EngineCore, PromptLongerThanTheContextIsRefused) {
  Rig rig({});
  GreedyClient client(rig.model, 300, 1);
  EXPECT_THROW(rig.core.add({.ids = std::vector<TokenId>(257, 1), .max_ids = 300, .outputs_from = 256}, client), Error);
}

}  // namespace
}  // namespace llm::engine
