#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "engine/invariants.h"
#include "fake_model.h"

namespace llm::engine {
namespace {

constexpr std::uint64_t page = 4096;

// Sequences over a pool and a prefix tree beside a naive model that only keeps ids: whatever is appended, forked, taken
// back, remembered, resumed or given up, the state read through the block tables is that of the ids.
class Operations {
 public:
  Operations(std::vector<StateGroup> groups, std::uint64_t seed)
      : model_(std::move(groups)), pool_(model_.groups, model_.block_tokens, 60 * page), tree_(pool_), random_(seed) {
    for (const StateGroup& group : model_.groups) recurrent_ = recurrent_ || group.kind == StateKind::per_sequence;
  }

  void run(int n_operations) {
    for (int i = 0; i < n_operations && !::testing::Test::HasFatalFailure(); ++i) {
      operate();
      if (i % 997 == 0) check();
    }
    sequences_.clear();
    tree_.clear();
    EXPECT_EQ(pool_.used_bytes(), 0u);
  }

 private:
  struct Sequence {
    explicit Sequence(StatePool& pool) : state(pool, 200) {}
    std::vector<TokenId> ids;
    SequenceState state;
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void operate() {
    const std::uint64_t what = below(16);
    if (sequences_.empty() || (what == 0 && sequences_.size() < 12)) return begin();
    const std::size_t i = below(sequences_.size());
    Sequence& s = *sequences_[i];
    switch (what) {
      case 1:
        tree_.insert(s.ids, s.state, true);
        sequences_.erase(sequences_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      case 2:
        return fork(s);
      case 3:
        return rewind(s);
      case 4:
        tree_.insert(std::span(s.ids).first(s.ids.size() / 4 * 4), s.state, s.ids.size() % 4 == 0);
        return;
      case 5:
        if (below(20) == 0) tree_.make_room(below(61) * page);
        return;
      default:
        return append(s, i);
    }
  }

  void begin() {
    auto s = std::make_unique<Sequence>(pool_);
    std::vector<TokenId> ids(1 + below(40));
    for (TokenId& id : ids) id = static_cast<TokenId>(below(8) == 0 ? 1 : 0);
    const std::int64_t n = tree_.resume(ids, s->state);
    ASSERT_EQ(n, s->state.size());
    s->ids.assign(ids.begin(), ids.begin() + n);
    sequences_.push_back(std::move(s));
  }

  void fork(const Sequence& from) {
    if (sequences_.size() >= 12) return;
    auto s = std::make_unique<Sequence>(pool_);
    if (!s->state.fork(from.state)) return;
    s->ids = from.ids;
    sequences_.push_back(std::move(s));
  }

  void rewind(Sequence& s) {
    const auto n = static_cast<std::int64_t>(below(s.ids.size() + 1));
    if (recurrent_ && n != 0 && n != s.state.size()) {
      ASSERT_FALSE(s.state.can_rewind_to(n));
    }
    if (!s.state.can_rewind_to(n)) return;
    s.state.rewind(n);
    s.ids.resize(static_cast<std::size_t>(n));
  }

  void append(Sequence& s, std::size_t index) {
    const auto n = static_cast<std::int64_t>(1 + (below(4) == 0 ? below(9) : 0));
    if (s.state.size() + n > 100) {
      sequences_.erase(sequences_.begin() + static_cast<std::ptrdiff_t>(index));
      return;
    }
    const std::uint64_t bytes = s.state.bytes_to_reserve(n), free = pool_.free_bytes();
    const bool fits = s.state.reserve(n);
    ASSERT_EQ(fits, bytes <= free);
    if (!fits) {
      ASSERT_EQ(pool_.free_bytes(), free);
      if (!tree_.make_room(bytes) && sequences_.size() > 1) {
        sequences_.erase(sequences_.begin() + static_cast<std::ptrdiff_t>(index));
      }
      return;
    }
    ASSERT_EQ(pool_.free_bytes(), free - bytes);
    std::vector<TokenId> ids(static_cast<std::size_t>(n));
    for (TokenId& id : ids) id = static_cast<TokenId>(below(8) == 0 ? 1 : 0);
    s.ids.insert(s.ids.end(), ids.begin(), ids.end());

    const model::SequenceSlice slice{
        .row_begin = 0, .n_rows = static_cast<int>(n), .position = s.state.size(), .tables = s.state.tables()};
    const std::int32_t last = static_cast<std::int32_t>(n) - 1;
    float result = 0;
    model::StepPlan plan;
    plan.tokens = ids;
    plan.slices = {&slice, 1};
    plan.output_rows = {&last, 1};
    plan.last_hidden = &result;
    model_.run(plan);
    ASSERT_EQ(result, model_.logit(model_.expected(s.ids), 0));
    s.state.advance(n);
    s.state.drop_passed();
  }

  void check() {
    PoolSnapshot snapshot = snapshot_of(pool_);
    for (const auto& s : sequences_) {
      ASSERT_EQ(static_cast<std::size_t>(s->state.size()), s->ids.size());
      add_holders(snapshot, s->state);
    }
    tree_.each_held([&](int g, const std::byte* block) { ++snapshot.groups[static_cast<std::size_t>(g)].uses[block]; });
    ASSERT_EQ(find_violation(snapshot), "");
  }

  FakeModel model_;
  StatePool pool_;
  PrefixTree tree_;
  std::mt19937_64 random_;
  bool recurrent_ = false;
  std::vector<std::unique_ptr<Sequence>> sequences_;
};

class RandomOperations : public ::testing::TestWithParam<int> {};

const std::vector<std::vector<StateGroup>> kinds = {
    {FakeModel::full()},
    {FakeModel::full(), FakeModel::windowed(7)},
    {FakeModel::windowed(5), FakeModel::windowed(12)},
    {FakeModel::full(), FakeModel::record()},
    {FakeModel::record()},
};

TEST_P(RandomOperations, StateIsThatOfTheIds) {
  const auto kind = static_cast<std::size_t>(GetParam());
  const std::uint64_t seed = 20'260 + kind;
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  RecordProperty("seed", static_cast<int>(seed));
  Operations(kinds[kind], seed).run(1'000'000);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RandomOperations, ::testing::Range(0, 5));

// Requests that come, go and are cancelled at random over a pool that is too small for them: little more than what the
// longest one needs. Records alone are taken when a sequence begins, so there nothing has to be given back.
constexpr std::uint64_t small_pool_pages[] = {20, 26, 14, 22, 3};
constexpr std::uint64_t least_preempted[] = {100, 100, 100, 100, 0};

class RandomRequests : public ::testing::TestWithParam<int> {};

TEST_P(RandomRequests, EveryAnswerIsThatOfItsPrompt) {
  const auto kind = static_cast<std::size_t>(GetParam());
  std::mt19937_64 random(77 + kind);
  SCOPED_TRACE(::testing::Message() << "seed " << 77 + kind);
  FakeModel model(kinds[kind]);
  EngineCore core(model, {.groups = model.groups,
                          .block_tokens = 4,
                          .state_bytes = small_pool_pages[kind] * page,
                          .n_context = 64,
                          .n_vocab = model.n_vocab,
                          .n_embd = 1,
                          .limits = {.max_rows = 12, .max_outputs = 5, .max_sequences = 5, .chunk = 7}});
  struct Request {
    std::vector<TokenId> prompt;
    std::unique_ptr<GreedyClient> client;
    EngineCore::Id id;
  };
  std::vector<Request> requests;
  int n_ended = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t what = random() % 8;
    if (what == 0 && requests.size() < 20) {
      std::vector<TokenId> prompt(1 + random() % 40);
      for (TokenId& id : prompt) id = random() % 8 == 0 ? 1 : 0;
      const auto n = static_cast<std::int64_t>(prompt.size());
      const auto n_wanted = static_cast<std::int64_t>(1 + random() % 20);
      auto client = std::make_unique<GreedyClient>(model, n, n_wanted);
      const EngineCore::Id id = core.add({.ids = prompt, .max_ids = n + n_wanted, .outputs_from = n - 1}, *client);
      requests.push_back({std::move(prompt), std::move(client), id});
    } else if (what == 1 && random() % 4 == 0 && !requests.empty()) {
      const std::size_t at = random() % requests.size();
      core.remove(requests[at].id);
      requests.erase(requests.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      core.step();
    }
    if (i % 50 == 0) {
      ASSERT_EQ(core.check(), "");
    }
    std::erase_if(requests, [&](const Request& r) {
      EXPECT_TRUE(r.client->error == nullptr);
      if (!r.client->ended) return false;
      std::vector<TokenId> ids = r.prompt;
      for (const TokenId id : r.client->answer) {
        EXPECT_EQ(id, model.next(ids));
        ids.push_back(id);
      }
      ++n_ended;
      return true;
    });
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(n_ended, 1000);
  EXPECT_GE(core.counters().n_preempted, least_preempted[kind]);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RandomRequests, ::testing::Range(0, 5));

}  // namespace
}  // namespace llm::engine
