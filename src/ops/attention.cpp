#include "ops/attention.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "ops/shared_keys.h"
#include "ops/work.h"

namespace llm::ops {
namespace {

using kernels::attention_span;
using kernels::AttentionTask;
using kernels::KeyRange;
using kernels::padded_value_dim;

// Queries of a tile: scores of a span and outputs stay in the second-level cache.
constexpr std::int64_t tile_queries = 48;
// Query heads of a tile; more heads of one key/value head are cut.
constexpr std::int64_t max_tile_heads = 16;

// How the query heads of one key/value head and the rows of a sequence are cut into tiles. Results do not depend on it.
struct Tiling {
  std::int64_t group = 1;  // query heads of a key/value head
  std::int64_t n_head_cuts = 1;
  std::int64_t n_heads = 1;  // of the widest cut
  std::int64_t n_rows = 1;

  Tiling(const AttentionSpec& spec, const KvLayout& kv) {
    group = spec.n_head / kv.n_head_kv;
    n_head_cuts = (group + max_tile_heads - 1) / max_tile_heads;
    n_heads = (group + n_head_cuts - 1) / n_head_cuts;
    n_rows = std::max<std::int64_t>(1, tile_queries / n_heads);
  }
  std::int64_t max_queries() const { return n_heads * n_rows; }
};

kernels::ScoreRule score_rule(const AttentionSpec& spec) {
  kernels::ScoreRule rule;
  rule.scale = spec.scale;
  rule.softcap = spec.softcap;
  rule.causal = spec.causal;
  rule.window = spec.window_kind;
  rule.window_size = spec.window;
  rule.bias_min = spec.bias_min;
  rule.bias_width = spec.bias_width;
  return rule;
}

// Results of a tile's queries over some keys: out [n_queries][padded value_dim], best and total [n_queries].
struct Partial {
  float* out = nullptr;
  float* best = nullptr;
  float* total = nullptr;

  Partial() = default;
  Partial(float* memory, std::int64_t n_queries, std::int64_t value_dim)
      : out(memory), best(memory + n_queries * padded_value_dim(value_dim)), total(best + n_queries) {}
  // What belongs to the queries from `first` on.
  Partial from(std::int64_t first, std::int64_t value_dim) const {
    Partial part = *this;
    part.out += first * padded_value_dim(value_dim);
    part.best += first;
    part.total += first;
    return part;
  }
  static std::int64_t floats(std::int64_t n_queries, std::int64_t value_dim) {
    return (n_queries * (padded_value_dim(value_dim) + 2) + 15) / 16 * 16;
  }
};

constexpr std::int64_t max_counters = 1024;
constexpr std::size_t counter_bytes = max_counters * sizeof(int);
constexpr std::size_t max_buffer_bytes = std::size_t{8} << 20;

// One tile: rows [row, row + n_rows) of a sequence, heads [head, head + n_heads), spans [span_begin, span_end).
struct Tile {
  const SequenceRows* sequence = nullptr;
  std::int64_t row = 0;
  std::int64_t n_rows = 0;
  std::int64_t head = 0;
  std::int64_t n_heads = 0;
  int kv_head = 0;
  std::int64_t head_cut = 0;
  std::int64_t span_begin = 0;
  std::int64_t span_end = 0;
};

class Step {
 public:
  Step(const Context& c, const Rows& q, const AttentionSpec& spec, const KvLayout& kv, Sequences sequences,
       const AttentionBuffer& buffer, const Rows& out)
      : c_(c),
        q_(q),
        spec_(spec),
        kv_(kv),
        sequences_(sequences),
        buffer_(buffer),
        out_(out),
        tiling_(spec, kv),
        shared_(spec, kv, sequences, tiling_.n_rows) {}

  void run() {
    if (tiles_go_whole()) {
      const bool any_shared = shared_spans();
      WorkItems items(c_.worker);
      RunAt at = next_run(any_shared ? 0 : n_sequences(), slots());
      each_tile([&](const Tile& tile) {
        items.next_group(1);
        const std::int64_t i = tile.sequence - sequences_.data();
        if (i >= at.run.end && at.run.n_rows() > 0) at = next_run(at.run.end, at.slots + run_floats(at.run));
        std::int64_t item = 0;
        if (items.take(item)) whole_tile(tile, i >= at.run.first ? &at : nullptr);
      });
    } else {
      WorkItems items(c_.worker);
      std::int64_t number = 0;
      float* to = slots();
      each_tile([&](const Tile& tile) {
        const std::int64_t n_spans = tile.span_end - tile.span_begin;
        items.next_group(n_spans);
        for (std::int64_t span = 0; items.take(span);) split_tile(tile, span, number, to);
        to += n_spans * Partial::floats(tile.n_rows * tile.n_heads, kv_.value_dim);
        ++number;
      });
    }
    c_.worker.sync();
  }

 private:
  template <typename F>
  void each_tile(F f) const {
    for (const SequenceRows& s : sequences_) {
      kernels::ScoreRule rule = score_rule(spec_);
      rule.n_keys = s.n_keys;
      for (std::int64_t t = 0; t < s.n_rows; t += tiling_.n_rows) {
        Tile tile;
        tile.sequence = &s;
        tile.row = t;
        tile.n_rows = std::min(tiling_.n_rows, s.n_rows - t);
        std::int64_t begin = 0;
        std::int64_t end = 0;
        for (std::int64_t r = 0; r < tile.n_rows; ++r) {
          const KeyRange keys = kernels::visible_keys(rule, s.position + t + r);
          if (keys.end <= keys.begin) continue;
          begin = end == 0 ? keys.begin : std::min(begin, keys.begin);
          end = std::max(end, keys.end);
        }
        tile.span_begin = begin / attention_span;
        tile.span_end = std::max((end + attention_span - 1) / attention_span, tile.span_begin + 1);
        each_head_cut(tile, f);
      }
    }
  }

  // A tile of all heads, cut.
  template <typename F>
  void each_head_cut(Tile tile, F f) const {
    for (int kv_head = 0; kv_head < kv_.n_head_kv; ++kv_head) {
      tile.kv_head = kv_head;
      for (std::int64_t cut = 0; cut < tiling_.n_head_cuts; ++cut) {
        const std::int64_t first = tiling_.group * cut / tiling_.n_head_cuts;
        tile.head = kv_head * tiling_.group + first;
        tile.n_heads = tiling_.group * (cut + 1) / tiling_.n_head_cuts - first;
        tile.head_cut = cut;
        f(tile);
      }
    }
  }

  // Sequences that read the same keys, and where the results over these wait: [n_head_kv][n_head_cuts][n_spans].
  struct RunAt {
    SharedRun run;
    float* slots = nullptr;
  };

  std::int64_t n_sequences() const { return static_cast<std::int64_t>(sequences_.size()); }
  float* slots() const {
    return buffer_.data == nullptr ? nullptr : reinterpret_cast<float*>(buffer_.data + counter_bytes);
  }

  std::int64_t slot_floats(const SharedRun& run) const {
    return Partial::floats(run.n_rows() * tiling_.n_heads, kv_.value_dim);
  }
  std::int64_t run_floats(const SharedRun& run) const {
    return kv_.n_head_kv * tiling_.n_head_cuts * run.n_spans * slot_floats(run);
  }

  // The first run from sequence i on; empty at the end, and where memory ends.
  RunAt next_run(std::int64_t i, float* at) const {
    const SharedRun end{n_sequences(), n_sequences(), 0};
    if (buffer_.data == nullptr) return {end, at};
    const SharedRun run = shared_.next(i);
    const std::int64_t left =
        static_cast<std::int64_t>((buffer_.bytes - counter_bytes) / sizeof(float)) - (at - slots());
    return run_floats(run) <= left ? RunAt{run, at} : RunAt{end, at};
  }

  Partial shared_part(const RunAt& at, const Tile& tile, std::int64_t span) const {
    const std::int64_t number = (tile.kv_head * tiling_.n_head_cuts + tile.head_cut) * at.run.n_spans + span;
    return {at.slots + number * slot_floats(at.run), at.run.n_rows() * tile.n_heads, kv_.value_dim};
  }

  // Reads keys that several sequences share once for all of them; false if there are none, else a barrier follows.
  bool shared_spans() const {
    RunAt at = next_run(0, slots());
    if (at.run.n_rows() == 0) return false;
    WorkItems items(c_.worker);
    for (; at.run.n_rows() > 0; at = next_run(at.run.end, at.slots + run_floats(at.run))) {
      Tile all;
      all.sequence = &sequences_[static_cast<std::size_t>(at.run.first)];
      all.n_rows = at.run.n_rows();
      each_head_cut(all, [&](const Tile& tile) {
        items.next_group(at.run.n_spans);
        for (std::int64_t span = 0; items.take(span);) shared_span(at, tile, span);
      });
    }
    c_.worker.sync();
    return true;
  }

  void shared_span(const RunAt& at, const Tile& tile, std::int64_t span) const {
    AttentionTask task;
    fill_task(tile, task);
    task.position = (span + 1) * attention_span;  // every row sees the whole span
    task.span = span;
    const Partial part = shared_part(at, tile, span);
    task.out = part.out;
    task.best = part.best;
    task.total = part.total;
    c_.k.attention.span(task);
  }

  // Whole tiles need no memory for parts; spans by themselves keep all workers busy where there are few tiles.
  bool tiles_go_whole() const {
    if (c_.worker.n == 1 || buffer_.data == nullptr) return true;
    std::int64_t n_tiles = 0;
    std::int64_t n_spans = 0;
    std::int64_t floats = 0;
    each_tile([&](const Tile& tile) {
      ++n_tiles;
      n_spans += tile.span_end - tile.span_begin;
      floats += (tile.span_end - tile.span_begin) * Partial::floats(tile.n_rows * tile.n_heads, kv_.value_dim);
    });
    const std::size_t bytes = counter_bytes + static_cast<std::size_t>(floats) * sizeof(float);
    return n_spans == n_tiles || n_tiles >= std::int64_t{4} * c_.worker.n || n_tiles > max_counters ||
           bytes > buffer_.bytes;
  }

  void fill_task(const Tile& tile, AttentionTask& task) const {
    const SequenceRows& s = *tile.sequence;
    task.q = q_.row(s.row_begin + tile.row) + tile.head * kv_.key_dim;
    task.q_row_stride = q_.stride;
    task.q_head_stride = kv_.key_dim;
    task.n_rows = tile.n_rows;
    task.n_heads = tile.n_heads;
    task.position = s.position + tile.row;
    task.rule = score_rule(spec_);
    task.rule.n_keys = s.n_keys;
    if (spec_.alibi_slopes != nullptr) task.rule.slopes = spec_.alibi_slopes + tile.head;
    if (spec_.position_bias != nullptr) task.rule.bias = spec_.position_bias + tile.head * spec_.bias_width;
    task.blocks = s.blocks;
    task.block_tokens = kv_.block_tokens;
    task.key_offset = kv_.key_head_offset(tile.kv_head);
    task.value_offset = kv_.value_head_offset(tile.kv_head);
    task.key_type = kv_.key_type;
    task.value_type = kv_.values_in_keys ? kv_.key_type : kv_.value_type;
    task.key_dim = kv_.key_dim;
    task.value_dim = kv_.value_dim;
    task.keys_by_row = kv_.values_in_keys;
    task.scratch = reinterpret_cast<float*>(c_.worker.scratch.data());
  }

  // Scratch after the kernel's own.
  float* scratch_after_kernel() const {
    const std::int64_t floats = c_.k.attention.scratch_floats(tiling_.max_queries(), kv_.key_dim, kv_.value_dim);
    return reinterpret_cast<float*>(c_.worker.scratch.data()) + (floats + 15) / 16 * 16;
  }

  void clear(const Partial& joined, std::int64_t n_queries) const {
    std::fill_n(joined.out, n_queries * padded_value_dim(kv_.value_dim), 0.0f);
    std::fill_n(joined.best, n_queries, -std::numeric_limits<float>::infinity());
    std::fill_n(joined.total, n_queries, 0.0f);
  }

  void join(const Partial& part, const Partial& joined, std::int64_t n_queries) const {
    c_.k.attention.join(n_queries, kv_.value_dim, part.out, part.best, part.total, joined.out, joined.best,
                        joined.total);
  }

  void finish(const Tile& tile, const Partial& joined) const {
    for (std::int64_t i = 0; i < tile.n_rows * tile.n_heads; ++i) {
      const std::int64_t head = tile.head + i % tile.n_heads;
      const std::int64_t row = tile.sequence->row_begin + tile.row + i / tile.n_heads;
      c_.k.attention.finish(joined.out + i * padded_value_dim(kv_.value_dim), joined.best[i], joined.total[i],
                            kv_.value_dim, spec_.sinks != nullptr ? spec_.sinks + head : nullptr,
                            out_.row(row) + head * kv_.value_dim);
    }
  }

  // shared: keys that were read for several sequences; null if there are none.
  void whole_tile(const Tile& tile, const RunAt* shared) const {
    const std::int64_t n = tile.n_rows * tile.n_heads;
    float* memory = scratch_after_kernel();
    const Partial part(memory, n, kv_.value_dim);
    const Partial joined(memory + Partial::floats(n, kv_.value_dim), n, kv_.value_dim);
    clear(joined, n);
    std::int64_t first_span = tile.span_begin;
    if (shared != nullptr) {
      const std::int64_t row = tile.sequence - &sequences_[static_cast<std::size_t>(shared->run.first)];
      for (; first_span < shared->run.n_spans; ++first_span) {
        join(shared_part(*shared, tile, first_span).from(row * n, kv_.value_dim), joined, n);
      }
    }
    AttentionTask task;
    fill_task(tile, task);
    task.out = part.out;
    task.best = part.best;
    task.total = part.total;
    for (task.span = first_span; task.span < tile.span_end; ++task.span) {
      task.next_span = task.span + 1;
      c_.k.attention.span(task);
      join(part, joined, n);
    }
    finish(tile, joined);
  }

  // One span of a tile; the worker that ends the tile's last one joins them all.
  void split_tile(const Tile& tile, std::int64_t span, std::int64_t number, float* slots) const {
    const std::int64_t n = tile.n_rows * tile.n_heads;
    const std::int64_t n_spans = tile.span_end - tile.span_begin;
    const std::int64_t floats = Partial::floats(n, kv_.value_dim);
    AttentionTask task;
    fill_task(tile, task);
    const Partial mine(slots + span * floats, n, kv_.value_dim);
    task.out = mine.out;
    task.best = mine.best;
    task.total = mine.total;
    task.span = tile.span_begin + span;
    task.next_span = task.span + c_.worker.n;  // spans go round among the workers
    c_.k.attention.span(task);
    std::atomic_ref<int> done(reinterpret_cast<int*>(buffer_.data)[number]);
    if (done.fetch_add(1, std::memory_order_acq_rel) != n_spans - 1) return;
    done.store(0, std::memory_order_relaxed);
    const Partial joined(scratch_after_kernel(), n, kv_.value_dim);
    clear(joined, n);
    for (std::int64_t i = 0; i < n_spans; ++i) join(Partial(slots + i * floats, n, kv_.value_dim), joined, n);
    finish(tile, joined);
  }

  const Context& c_;
  const Rows& q_;
  const AttentionSpec& spec_;
  const KvLayout& kv_;
  Sequences sequences_;
  const AttentionBuffer& buffer_;
  const Rows& out_;
  Tiling tiling_;
  SharedRuns shared_;
};

}  // namespace

std::size_t attention_buffer_bytes(const AttentionSpec& spec, const KvLayout& kv, std::int64_t n_rows,
                                   std::int64_t n_keys) {
  const std::int64_t n_spans = (n_keys + attention_span - 1) / attention_span + 1;
  const std::int64_t floats = Partial::floats(std::min<std::int64_t>(n_rows, 64) * spec.n_head, kv.value_dim) * n_spans;
  return counter_bytes + std::min(static_cast<std::size_t>(floats) * sizeof(float), max_buffer_bytes);
}

void clear(AttentionBuffer buffer) {
  std::memset(buffer.data, 0, std::min(buffer.bytes, counter_bytes));
}

std::size_t attention_scratch_bytes(const kernels::KernelTable& k, const AttentionSpec& spec, const KvLayout& kv) {
  const std::int64_t n = Tiling(spec, kv).max_queries();
  const std::int64_t floats =
      k.attention.scratch_floats(n, kv.key_dim, kv.value_dim) + 16 + 2 * Partial::floats(n, kv.value_dim);
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void attention(const Context& c, Rows q, const AttentionSpec& spec, const KvLayout& kv, Sequences sequences,
               AttentionBuffer buffer, Rows out) {
  c.enter(Operation::attention);
  Step(c, q, spec, kv, sequences, buffer, out).run();
}

}  // namespace llm::ops
