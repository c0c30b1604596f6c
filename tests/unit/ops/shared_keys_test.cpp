#include "ops/shared_keys.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <gmock/gmock.h>

#include "region.h"

namespace llm::ops {
namespace {

constexpr int block_tokens = 64;

// Block tables of sequences of one row each: the first blocks of a sequence are those of another one, the rest its own.
class Cache {
 public:
  explicit Cache(std::size_t block_bytes) : block_bytes_(block_bytes) {}

  // Sequence with keys up to `position`, whose first n_shared blocks are those of sequence `of`.
  void add(std::int64_t position, std::size_t of, std::size_t n_shared) {
    auto& table = tables_.emplace_back();
    for (std::size_t b = 0; b <= static_cast<std::size_t>(position) / block_tokens; ++b) {
      table.push_back(b < n_shared ? tables_[of][b] : new_block());
    }
    SequenceRows s;
    s.row_begin = static_cast<std::int64_t>(sequences_.size());
    s.n_rows = 1;
    s.position = position;
    s.n_keys = position + 1;
    sequences_.push_back(s);
  }

  std::vector<SequenceRows> sequences() const {
    std::vector<SequenceRows> all = sequences_;
    for (std::size_t i = 0; i < all.size(); ++i) all[i].blocks = tables_[i].data();
    return all;
  }
  std::vector<std::vector<std::byte>>& blocks() { return blocks_; }

 private:
  std::byte* new_block() { return blocks_.emplace_back(block_bytes_).data(); }

  std::size_t block_bytes_;
  std::vector<std::vector<std::byte>> blocks_;
  std::vector<std::vector<std::byte*>> tables_;
  std::vector<SequenceRows> sequences_;
};

std::vector<std::vector<std::int64_t>> runs(const SharedRuns& shared, std::int64_t n) {
  std::vector<std::vector<std::int64_t>> found;
  for (SharedRun run = shared.next(0); run.first < n; run = shared.next(run.end)) {
    found.push_back({run.first, run.end, run.n_spans});
  }
  return found;
}

using Runs = std::vector<std::vector<std::int64_t>>;

TEST(SharedRuns, AreNeighboursWithTheSameBlocksInSpansThatTheySeeWhole) {
  AttentionSpec spec;
  const KvLayout kv{.block_tokens = block_tokens};
  Cache cache(1);
  cache.add(600, 0, 0);
  cache.add(511, 0, 8);  // sees two spans whole
  cache.add(900, 0, 9);
  cache.add(510, 0, 8);  // one and a part: half would be lost
  cache.add(300, 3, 4);
  cache.add(254, 0, 4);  // none
  cache.add(600, 0, 0);  // blocks of its own
  cache.add(600, 6, 3);
  const std::vector<SequenceRows> all = cache.sequences();
  const auto n = static_cast<std::int64_t>(all.size());
  EXPECT_EQ(runs(SharedRuns(spec, kv, all, 16), n), (Runs{{0, 3, 2}, {3, 5, 1}}));
  EXPECT_EQ(runs(SharedRuns(spec, kv, all, 2), n), (Runs{{0, 2, 2}, {3, 5, 1}}));

  std::vector<SequenceRows> other = all;
  other[1].row_begin = 40;  // a row elsewhere
  EXPECT_EQ(runs(SharedRuns(spec, kv, other, 16), n), (Runs{{3, 5, 1}}));
  other = all;
  other[1].n_rows = 2;  // a prompt
  EXPECT_EQ(runs(SharedRuns(spec, kv, other, 16), n), (Runs{{3, 5, 1}}));

  AttentionSpec windowed = spec;
  windowed.window_kind = WindowKind::sliding;
  AttentionSpec encoder = spec;
  encoder.causal = false;
  const float slope = 1;
  AttentionSpec sloped = spec;
  sloped.alibi_slopes = &slope;
  AttentionSpec biased = spec;
  biased.position_bias = &slope;
  for (const AttentionSpec& distance : {windowed, encoder, sloped, biased}) {
    EXPECT_TRUE(runs(SharedRuns(distance, kv, all, 16), n).empty());
  }
}

struct Shape {
  int n_head, n_kv, dim;
  TensorType type;
  bool latent;
};

// Sequences of a step give the bits that each gives alone, whatever they share.
TEST(Attention, SequencesThatShareKeysGiveTheBitsOfEachAlone) {
  for (const Shape& shape : {Shape{6, 2, 64, TensorType::F16, false}, Shape{3, 3, 20, TensorType::F32, false},
                             Shape{40, 2, 32, TensorType::Q8_0, false}, Shape{17, 1, 64, TensorType::BF16, true}}) {
    AttentionSpec spec{.n_head = shape.n_head, .scale = 1 / std::sqrt(static_cast<float>(shape.dim)), .softcap = 20};
    const std::vector<float> sinks(static_cast<std::size_t>(shape.n_head), 0.3f);
    spec.sinks = sinks.data();
    KvLayout kv{.key_type = shape.type,
                .value_type = shape.type,
                .n_head_kv = shape.n_kv,
                .key_dim = shape.dim,
                .value_dim = shape.latent ? 32 : shape.dim,
                .block_tokens = block_tokens};
    kv.values_in_keys = shape.latent;
    Cache cache(kv.block_bytes() + 64);
    cache.add(700, 0, 0);
    for (int i = 1; i < 20; ++i) cache.add(520 + 9 * i, 0, 8);
    cache.add(300, 0, 4);
    cache.add(290, 0, 4);
    cache.add(100, 0, 0);
    cache.add(800, 0, 0);
    cache.add(790, 23, 12);
    const std::vector<SequenceRows> all = cache.sequences();
    const auto n = static_cast<std::int64_t>(all.size());
    const OwnedRows q(n, shape.n_head * shape.dim, 11, 1.5f);

    for (const kernels::KernelTable* k : kernels::available_kernels()) {
      std::uint32_t seed = 20;
      for (std::vector<std::byte>& block : cache.blocks()) {
        OwnedRows keys(block_tokens, shape.n_kv * kv.key_dim, seed);
        const OwnedRows values(block_tokens, shape.n_kv * kv.value_dim, ++seed);
        std::byte* const table = block.data();
        const SequenceRows s{.n_rows = block_tokens, .n_keys = block_tokens, .blocks = &table};
        run_region(*k, 1, [&](const Context& c) {
          Heads heads{.rows = keys.rows, .n_head = kv.n_head_kv, .head_dim = kv.key_dim};
          prepare_and_store(c, {}, heads, values.rows, {&s, 1}, kv);
        });
      }
      std::vector<std::byte> memory(attention_buffer_bytes(spec, kv, n, 900) + 64);
      const auto run = [&](std::span<const SequenceRows> sequences, int n_threads, std::size_t buffer, OwnedRows& out) {
        Team team(n_threads, attention_scratch_bytes(*k, spec, kv));
        team.run([&](const Worker& worker) {
          const Context c{worker, *k};
          attention(c, q.rows, spec, kv, sequences, {buffer == 0 ? nullptr : memory.data(), buffer}, out.rows);
        });
      };
      OwnedRows expected(n, shape.n_head * kv.value_dim);
      for (const SequenceRows& s : all) run({&s, 1}, 1, 0, expected);
      for (const int n_threads : {1, 2, 3}) {
        // The last size has room for few results only.
        for (const std::size_t buffer : {memory.size(), memory.size() / 4}) {
          OwnedRows found(n, shape.n_head * kv.value_dim);
          run(all, n_threads, buffer, found);
          EXPECT_EQ(0, std::memcmp(found.data.data(), expected.data.data(), found.data.size() * sizeof(float)))
              << k->name << ", " << shape.n_head << " heads, " << n_threads << " threads, buffer of " << buffer;
        }
      }
    }
  }
}

}  // namespace
}  // namespace llm::ops
