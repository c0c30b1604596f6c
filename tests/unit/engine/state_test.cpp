#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <llm/error.hpp>
#include <numeric>

#include "engine/prefix_tree.h"
#include "engine/sequence_state.h"

namespace llm::engine {
namespace {

constexpr int block = 4;
constexpr std::uint64_t page = 4096;

StateGroup full() {
  return {.kind = StateKind::per_token, .window = 0, .unit_bytes = 8};
}
StateGroup windowed(int n) {
  return {.kind = StateKind::per_token, .window = n, .unit_bytes = 8};
}
StateGroup record() {
  return {.kind = StateKind::per_sequence, .window = 0, .unit_bytes = 8};
}

void grow(SequenceState& state, std::int64_t n) {
  ASSERT_TRUE(state.reserve(n));
  state.advance(n);
  state.drop_passed();
}

std::vector<TokenId> counting(std::int64_t n) {
  std::vector<TokenId> ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), 100);
  return ids;
}

TEST(StatePool, TakesNoMoreThanTheBudget) {
  StatePool pool({full()}, block, 3 * page);
  std::byte* a = pool.take(0);
  ASSERT_NE(a, nullptr);
  ASSERT_NE(pool.take(0), nullptr);
  ASSERT_NE(pool.take(0), nullptr);
  EXPECT_EQ(pool.take(0), nullptr);
  pool.release(0, a);
  EXPECT_EQ(pool.take(0), a);
}

TEST(StatePool, MemoryOfOneGroupServesAnother) {
  StatePool pool({full(), {.kind = StateKind::per_token, .window = 0, .unit_bytes = page / 2}}, block, 4 * page);
  std::vector<std::byte*> small;
  for (int i = 0; i < 4; ++i) small.push_back(pool.take(0));
  EXPECT_EQ(pool.take(1), nullptr);
  for (std::byte* b : small) pool.release(0, b);
  EXPECT_NE(pool.take(1), nullptr);
  EXPECT_NE(pool.take(1), nullptr);
  EXPECT_EQ(pool.take(0), nullptr);
}

TEST(StatePool, PagesComeWithUse) {
  const std::uint64_t budget = std::uint64_t{1} << 36;  // more than this machine has
  StatePool pool({{.kind = StateKind::per_token, .window = 0, .unit_bytes = 1 << 16}}, block, budget);
  EXPECT_NE(pool.take(0), nullptr);
  EXPECT_EQ(pool.used_bytes(), block << 16);
}

TEST(StatePool, SharedBlockIsFreeWhenTheLastHolderLetsGo) {
  StatePool pool({full()}, block, page);
  std::byte* b = pool.take(0);
  pool.share(0, b);
  pool.release(0, b);
  EXPECT_EQ(pool.free_bytes(), 0u);
  pool.release(0, b);
  EXPECT_EQ(pool.free_bytes(), page);
}

TEST(SequenceState, ReservesWholeBlocksAndGivesBackWhatIsNotUsed) {
  StatePool pool({full()}, block, 10 * page);
  SequenceState state(pool, 40);
  ASSERT_TRUE(state.reserve(9));
  EXPECT_EQ(pool.used_bytes(), 3 * page);
  state.advance(4);
  state.unreserve();
  EXPECT_EQ(pool.used_bytes(), page);
  EXPECT_EQ(state.size(), 4);
}

TEST(SequenceState, FailedReservationChangesNothing) {
  StatePool pool({full(), record()}, block, 4 * page);
  SequenceState state(pool, 400);
  grow(state, 6);
  const std::uint64_t used = pool.used_bytes();
  EXPECT_FALSE(state.reserve(60));
  EXPECT_EQ(pool.used_bytes(), used);
  EXPECT_EQ(state.size(), 6);
  EXPECT_TRUE(state.reserve(4));
}

TEST(SequenceState, WindowFreesBlocksBehindIt) {
  StatePool pool({windowed(6)}, block, 100 * page);
  SequenceState state(pool, 400);
  for (int i = 0; i < 40; ++i) grow(state, 1);
  EXPECT_LE(pool.used_bytes(), 3 * page);
  EXPECT_EQ(state.block(0, 0), nullptr);
  EXPECT_NE(state.block(0, 9), nullptr);
  EXPECT_TRUE(state.can_rewind_to(39));
  EXPECT_FALSE(state.can_rewind_to(20));
  EXPECT_TRUE(state.can_rewind_to(0));
}

TEST(SequenceState, RecurrentStateGoesBackToTheBeginningOnly) {
  StatePool pool({full(), record()}, block, 100 * page);
  SequenceState state(pool, 400);
  grow(state, 10);
  EXPECT_TRUE(state.can_rewind_to(10));
  EXPECT_FALSE(state.can_rewind_to(9));
  EXPECT_TRUE(state.can_rewind_to(0));
}

TEST(SequenceState, RecordBeginsAsZeros) {
  StatePool pool({record()}, block, 2 * page);
  std::byte* dirty = pool.take(0);
  std::fill(dirty, dirty + 8, std::byte{0xff});
  pool.release(0, dirty);
  SequenceState state(pool, 10);
  ASSERT_TRUE(state.reserve(1));
  EXPECT_EQ(static_cast<int>(state.tables()[0][0][0]), 0);
}

TEST(SequenceState, ForkSharesBlocksAndCopiesOnWrite) {
  StatePool pool({full()}, block, 100 * page);
  SequenceState a(pool, 400), b(pool, 400);
  grow(a, 6);
  a.tables()[0][1][0] = std::byte{7};
  ASSERT_TRUE(b.fork(a));
  EXPECT_EQ(pool.used_bytes(), 2 * page);
  grow(b, 1);
  EXPECT_EQ(pool.used_bytes(), 3 * page);
  EXPECT_EQ(b.block(0, 0), a.block(0, 0));
  EXPECT_NE(b.block(0, 1), a.block(0, 1));
  EXPECT_EQ(b.block(0, 1)[0], std::byte{7});
  grow(a, 1);  // the only holder of its last block now
  EXPECT_EQ(pool.used_bytes(), 3 * page);
}

TEST(PrefixTree, GivesTheLongestCommonBeginning) {
  StatePool pool({full()}, block, 100 * page);
  PrefixTree tree(pool);
  std::vector<TokenId> ids = counting(14);
  {
    SequenceState state(pool, 40);
    grow(state, 14);
    tree.insert(ids, state, false);
  }
  EXPECT_EQ(tree.find(ids).n, 14);
  ids[10] = 1;
  EXPECT_EQ(tree.find(ids).n, 10);
  ids[2] = 1;
  EXPECT_EQ(tree.find(ids).n, 2);
  ids[0] = 1;
  EXPECT_EQ(tree.find(ids).n, 0);
  SequenceState resumed(pool, 40);
  EXPECT_EQ(tree.resume(std::span<const TokenId>(counting(14)).first(9), resumed), 9);
  EXPECT_EQ(resumed.size(), 9);
  EXPECT_EQ(pool.used_bytes(), 4 * page);
  grow(resumed, 1);
  EXPECT_EQ(pool.used_bytes(), 5 * page);  // a copy of the partly filled block
}

TEST(PrefixTree, LongerLeafReplacesTheOneItContinues) {
  StatePool pool({full()}, block, 100 * page);
  PrefixTree tree(pool);
  SequenceState state(pool, 40);
  grow(state, 6);
  const std::vector<TokenId> ids = counting(20);
  tree.insert(std::span(ids).first(6), state, false);
  grow(state, 4);
  tree.insert(std::span(ids).first(10), state, false);
  EXPECT_EQ(tree.n_nodes(), 3u);
  EXPECT_EQ(tree.find(ids).n, 10);
}

TEST(PrefixTree, WindowedModelResumesOnlyWhereItsWindowIsThere) {
  StatePool pool({full(), windowed(6)}, block, 100 * page);
  PrefixTree tree(pool);
  const std::vector<TokenId> ids = counting(40);
  {
    SequenceState state(pool, 40);
    for (int i = 0; i < 40; ++i) grow(state, 1);
    tree.insert(ids, state, false);
  }
  EXPECT_EQ(tree.find(ids).n, 40);
  EXPECT_EQ(tree.find(std::span(ids).first(20)).n, 0);
  EXPECT_EQ(tree.find(std::span(ids).first(20)).n_same_ids, 20);
}

TEST(PrefixTree, RecurrentModelResumesAtCheckpoints) {
  StatePool pool({full(), record()}, block, 100 * page);
  PrefixTree tree(pool);
  const std::vector<TokenId> ids = counting(20);
  SequenceState state(pool, 40);
  grow(state, 8);
  state.tables()[1][0][0] = std::byte{42};
  tree.insert(std::span(ids).first(8), state, true);
  grow(state, 12);
  state.tables()[1][0][0] = std::byte{43};
  tree.insert(ids, state, false);
  EXPECT_EQ(tree.find(ids).n, 8);
  SequenceState resumed(pool, 40);
  ASSERT_EQ(tree.resume(ids, resumed), 8);
  EXPECT_EQ(resumed.tables()[1][0][0], std::byte{42});
}

TEST(PrefixTree, GivesUpWhatWasNotUsedForLongest) {
  StatePool pool({full()}, block, 6 * page);
  PrefixTree tree(pool);
  std::vector<std::vector<TokenId>> texts;
  for (TokenId first = 0; first < 3; ++first) {
    texts.push_back(std::vector<TokenId>(8, first));
    SequenceState state(pool, 40);
    grow(state, 8);
    tree.insert(texts.back(), state, false);
  }
  SequenceState state(pool, 40);
  tree.resume(texts[0], state);
  state.clear();
  EXPECT_TRUE(tree.make_room(2 * page));
  EXPECT_EQ(tree.find(texts[0]).n, 8);
  EXPECT_EQ(tree.find(texts[1]).n, 0);
  EXPECT_EQ(tree.find(texts[2]).n, 8);
  EXPECT_TRUE(tree.make_room(6 * page));
  EXPECT_FALSE(tree.make_room(7 * page));
}

}  // namespace
}  // namespace llm::engine
