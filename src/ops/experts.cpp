#include "ops/experts.h"

#include <algorithm>
#include <limits>

#include "ops/low_rank.h"
#include "ops/work.h"

namespace llm::ops {
namespace {

using kernels::MatmulTask;

// Pairs of one expert at a time, and weight rows of a piece of work.
constexpr std::int64_t max_pairs = 256;
constexpr std::int64_t max_expert_rows = 64;

constexpr float none = -std::numeric_limits<float>::infinity();

// softmax of n numbers, in place
void softmax(const Context& c, float* x, int n) {
  float most = x[0];
  for (int i = 1; i < n; ++i) most = std::max(most, x[i]);
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += x[i] = c.k.scans.exp(x[i] - most);
  for (int i = 0; i < n; ++i) x[i] /= sum;
}

// Sets the chosen-by scores of all experts outside the best groups to -infinity.
void limit_groups(const Router& router, int n_experts, float* score) {
  const int size = n_experts / router.n_groups;
  // A group's rank: how many groups are better, earlier ones winning ties.
  const auto value = [&](int g) {
    float first = none;
    float second = none;
    for (int i = g * size; i < (g + 1) * size; ++i) {
      if (score[i] > first) {
        second = first;
        first = score[i];
      } else if (score[i] > second) {
        second = score[i];
      }
    }
    return router.group_by_best_two && size > 1 ? first + second : first;
  };
  std::uint64_t kept = 0;
  for (int g = 0; g < router.n_groups; ++g) {
    const float mine = value(g);
    int better = 0;
    for (int other = 0; other < router.n_groups; ++other) {
      const float theirs = value(other);
      better += theirs > mine || (theirs == mine && other < g) ? 1 : 0;
    }
    if (better < router.n_groups_used) kept |= std::uint64_t{1} << g;
  }
  for (int i = 0; i < n_experts; ++i) {
    if ((kept >> (i / size) & 1) == 0) score[i] = none;
  }
}

// One row: its experts and their weights. `score` has room for 2 n_experts.
void choose(const Context& c, const Router& router, const float* logits, int n_experts, float* score,
            std::int32_t* expert, float* weight) {
  std::copy_n(logits, n_experts, score);
  if (router.score == Router::Score::softmax) softmax(c, score, n_experts);
  if (router.score == Router::Score::sigmoid) c.k.rows.activate(Activation::sigmoid, score, n_experts, score);
  float* by = score + n_experts;
  for (int i = 0; i < n_experts; ++i) {
    by[i] = router.correction_bias != nullptr ? score[i] + router.correction_bias[i] : score[i];
  }
  if (router.n_groups > 1 && router.n_groups_used < router.n_groups) limit_groups(router, n_experts, by);
  for (int slot = 0; slot < router.n_used; ++slot) {
    int best = -1;
    for (int i = 0; i < n_experts; ++i) {
      const bool taken = std::find(expert, expert + slot, i) != expert + slot;
      if (!taken && (best < 0 || by[i] > by[best])) best = i;
    }
    expert[slot] = best;
    weight[slot] = score[best];
  }
  if (router.softmax_of_chosen) softmax(c, weight, router.n_used);
  float divisor = 1;
  if (router.normalize) {
    float sum = 0;
    for (int slot = 0; slot < router.n_used; ++slot) sum += weight[slot];
    divisor = std::max(sum + router.sum_offset, router.sum_min);
  }
  for (int slot = 0; slot < router.n_used; ++slot) weight[slot] = weight[slot] / divisor * router.scale;
}

// Pairs by expert: counting sort.
void group_pairs(const ExpertChoice& choice) {
  std::fill_n(choice.begin, choice.n_experts + 1, 0);
  for (std::int64_t p = 0; p < choice.n_pairs; ++p) ++choice.begin[choice.expert[p] + 1];
  for (int e = 0; e < choice.n_experts; ++e) choice.begin[e + 1] += choice.begin[e];
  // begin[e] runs through its group and ends at begin[e + 1]; then all are moved back by one.
  for (std::int64_t p = 0; p < choice.n_pairs; ++p) {
    const std::int32_t at = choice.begin[choice.expert[p]]++;
    choice.pairs[at] = static_cast<std::int32_t>(p);
    choice.rows[at] = static_cast<std::int32_t>(p / choice.n_used);
  }
  for (int e = choice.n_experts; e > 0; --e) choice.begin[e] = choice.begin[e - 1];
  choice.begin[0] = 0;
}

std::int64_t item_rows(std::int64_t n_out) {
  return std::clamp<std::int64_t>(n_out / 8 / 16 * 16, 16, max_expert_rows);
}

// For the profile.
std::int64_t experts_used(const Context& c, const ExpertChoice& choice) {
  std::int64_t n = 0;
  for (int e = 0; c.profile != nullptr && e < choice.n_experts; ++e) n += choice.begin[e] < choice.begin[e + 1] ? 1 : 0;
  return n;
}

// Calls f(expert, first pair, number of pairs, first weight row, end) for this worker's pieces.
template <typename F>
void each_piece(const Context& c, const ExpertChoice& choice, std::int64_t n_out, F f) {
  const std::int64_t step = item_rows(n_out);
  WorkItems items(c.worker);
  for (int e = 0; e < choice.n_experts; ++e) {
    const std::int32_t begin = choice.begin[e];
    const std::int32_t end = choice.begin[e + 1];
    if (begin == end) continue;
    items.next_group((n_out + step - 1) / step);
    for (std::int64_t item = 0; items.take(item);) {
      for (std::int64_t p = begin; p < end; p += max_pairs) {
        f(e, p, std::min<std::int64_t>(max_pairs, end - p), item * step, std::min((item + 1) * step, n_out));
      }
    }
  }
  c.worker.sync();
}

// A product of one expert's rows [begin, end) with n activations; the caller fills in where results go.
MatmulTask expert_task(const Context& c, const PackedRows& in, const WeightMatrix& weight, const std::int32_t* act_rows,
                       std::int64_t n, std::int64_t begin, std::int64_t end) {
  MatmulTask task;
  task.weight = weight.row(begin);
  task.type = weight.type;
  task.n_cols = weight.n_in;
  task.row_end = end - begin;
  task.format = c.k.act_format(weight.type, weight.n_in, c.precision(weight));
  task.act = in.by_format[static_cast<std::size_t>(task.format)];
  task.act_rows = act_rows;
  task.n_tokens = n;
  task.scratch = c.worker.scratch.data();
  return task;
}

// Pieces of work of A x: few rows of A for few pairs, few pairs for many.
constexpr std::int64_t pair_piece_ranks = 8, pair_piece = 16;

// What adapters add to the products of one matrix.
struct PairLowRank {
  const LowRank* low_rank = nullptr;
  float* rows = nullptr;  // [n_pairs, rank] A x, in the order of ExpertChoice::pairs
};

WeightMatrix of_expert(const WeightMatrix& first, std::int64_t expert) {
  return {first.data + expert * first.bytes(), first.type, first.n_out, first.n_in};
}

// A x of every pair. Barrier at the end; none if there is nothing to do.
void compute_low_rank(const Context& c, const PackedRows& in, const std::int32_t* act_rows, const ExpertChoice& choice,
                      std::initializer_list<PairLowRank*> parts) {
  float* memory = c.low_rank;
  WorkItems items(c.worker);
  bool any = false;
  for (PairLowRank* part : parts) {
    if (part->low_rank == nullptr) continue;
    any = true;
    const WeightMatrix& a = part->low_rank->a;
    part->rows = memory;
    memory += choice.n_pairs * a.n_out;
    MatmulTask task;
    task.type = a.type;
    task.n_cols = a.n_in;
    task.format = ActFormat::f32;
    task.act = in.by_format[static_cast<std::size_t>(ActFormat::f32)];
    task.out_stride = a.n_out;
    task.scratch = c.worker.scratch.data();
    for (int e = 0; e < choice.n_experts; ++e) {
      const std::int64_t first = choice.begin[e], n = choice.begin[e + 1] - first;
      if (n == 0) continue;
      const bool few = n < pair_piece;
      const std::int64_t pairs = few ? n : pair_piece, ranks = few ? pair_piece_ranks : a.n_out;
      const std::int64_t n_rank_pieces = (a.n_out + ranks - 1) / ranks;
      items.next_group((n + pairs - 1) / pairs * n_rank_pieces);
      for (std::int64_t item = 0; items.take(item);) {
        const std::int64_t p = first + item / n_rank_pieces * pairs, r = item % n_rank_pieces * ranks;
        task.weight = of_expert(a, e).row(r);
        task.row_end = std::min(ranks, a.n_out - r);
        task.act_rows = act_rows + p;
        task.n_tokens = std::min(pairs, first + n - p);
        task.out = part->rows + p * a.n_out + r;
        c.k.matmul(task);
      }
    }
  }
  if (any) c.worker.sync();
}

// Adds rows [begin, end) of B (A x) to the results of pairs p ... p + n of an expert; to(i) is that of pair p + i.
template <typename To>
void add_low_rank(const Context& c, const PairLowRank& part, int expert, std::int64_t p, std::int64_t n,
                  std::int64_t begin, std::int64_t end, To to) {
  if (part.low_rank == nullptr) return;
  const std::int64_t width = end - begin;
  const WeightMatrix b = of_expert(part.low_rank->b, expert);
  const float* sum = low_rank_product(c, b, begin, width, part.rows + p * b.n_in, n);
  for (std::int64_t i = 0; i < n; ++i) c.k.rows.add(sum + i * width, 1, width, to(i));
}

}  // namespace

std::size_t expert_choice_bytes(std::int64_t n_rows, int n_experts, int n_used) {
  const std::size_t pairs = align_bytes(static_cast<std::size_t>(n_rows * n_used) * sizeof(std::int32_t));
  return 4 * pairs + align_bytes((static_cast<std::size_t>(n_experts) + 1) * sizeof(std::int32_t));
}

std::size_t route_scratch_bytes(int n_experts) {
  return 2 * static_cast<std::size_t>(n_experts) * sizeof(float);
}

ExpertChoice route(const Context& c, Rows logits, const Router& router, std::byte* memory) {
  c.enter(Operation::routing);
  ExpertChoice choice;
  choice.n_experts = static_cast<int>(logits.n_cols);
  choice.n_used = router.n_used;
  choice.n_pairs = logits.n_rows * router.n_used;
  const std::size_t bytes = align_bytes(static_cast<std::size_t>(choice.n_pairs) * sizeof(std::int32_t));
  choice.expert = reinterpret_cast<std::int32_t*>(memory);
  choice.weight = reinterpret_cast<float*>(memory + bytes);
  choice.pairs = reinterpret_cast<std::int32_t*>(memory + 2 * bytes);
  choice.rows = reinterpret_cast<std::int32_t*>(memory + 3 * bytes);
  choice.begin = reinterpret_cast<std::int32_t*>(memory + 4 * bytes);
  float* score = reinterpret_cast<float*>(c.worker.scratch.data());
  const bool few = logits.n_rows <= max_private_rows;
  Worker::Part part = c.worker.part(logits.n_rows);
  if (few) part = {0, c.worker.id == 0 ? logits.n_rows : 0};
  for (std::int64_t i = part.begin; i < part.end; ++i) {
    choose(c, router, logits.row(i), choice.n_experts, score, choice.expert + i * router.n_used,
           choice.weight + i * router.n_used);
  }
  if (!few) c.worker.sync();
  if (c.worker.id == 0) group_pairs(choice);
  c.worker.sync();
  return choice;
}

std::size_t expert_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight) {
  return align_bytes(k.matmul_scratch_bytes(weight.type, weight.n_in)) +
         2 * max_pairs * max_expert_rows * sizeof(float);
}

std::size_t expert_low_rank_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight) {
  if (weight.low_rank == nullptr) return 0;
  return low_rank_result_bytes(k, weight.low_rank->b, max_pairs * max_expert_rows) + arena_alignment;
}

void expert_gated(const Context& c, const PackedRows& in, const ExpertChoice& choice, const ExpertMatrices& gate,
                  const ExpertMatrices& up, const Gated& gated, Rows hidden) {
  const bool has_gate = gate.first.data != nullptr;
  c.enter(Operation::product, experts_used(c, choice) * (up.first.bytes() + (has_gate ? gate.first.bytes() : 0)));
  std::size_t kernel_bytes = align_bytes(c.k.matmul_scratch_bytes(up.first.type, up.first.n_in));
  if (has_gate) {
    kernel_bytes = std::max(kernel_bytes, align_bytes(c.k.matmul_scratch_bytes(gate.first.type, gate.first.n_in)));
  }
  PairLowRank gate_low_rank{gate.first.low_rank}, up_low_rank{up.first.low_rank};
  compute_low_rank(c, in, choice.rows, choice, {&gate_low_rank, &up_low_rank});
  float* up_part = reinterpret_cast<float*>(c.worker.scratch.data() + kernel_bytes);
  float* gate_part = up_part + max_pairs * max_expert_rows;
  each_piece(c, choice, up.first.n_out,
             [&](int e, std::int64_t p, std::int64_t n, std::int64_t begin, std::int64_t end) {
               const std::int64_t width = end - begin;
               const auto half = [&](const ExpertMatrices& m, const PairLowRank& low_rank, float* part) {
                 MatmulTask task = expert_task(c, in, m.matrix(e), choice.rows + p, n, begin, end);
                 task.out = part;
                 task.out_stride = width;
                 c.k.matmul(task);
                 add_low_rank(c, low_rank, e, p, n, begin, end, [&](std::int64_t i) { return part + i * width; });
                 if (m.bias == nullptr) return;
                 for (std::int64_t i = 0; i < n; ++i)
                   c.k.rows.add(m.bias + e * m.bias_stride + begin, 1, width, part + i * width);
               };
               half(up, up_low_rank, up_part);
               if (has_gate) half(gate, gate_low_rank, gate_part);
               for (std::int64_t i = 0; i < n; ++i) {
                 float* to = hidden.row(choice.pairs[p + i]) + begin;
                 if (has_gate) {
                   c.k.rows.gated(gated, gate_part + i * width, up_part + i * width, width, to);
                 } else {
                   c.k.rows.activate(gated.activation, up_part + i * width, width, to);
                 }
               }
             });
}

void expert_down(const Context& c, const PackedRows& in, const ExpertChoice& choice, const ExpertMatrices& down,
                 Rows result) {
  c.enter(Operation::product, experts_used(c, choice) * down.first.bytes());
  PairLowRank low_rank{down.first.low_rank};
  compute_low_rank(c, in, choice.pairs, choice, {&low_rank});
  each_piece(c, choice, down.first.n_out,
             [&](int e, std::int64_t p, std::int64_t n, std::int64_t begin, std::int64_t end) {
               MatmulTask task = expert_task(c, in, down.matrix(e), choice.pairs + p, n, begin, end);
               task.out = result.data + begin;
               task.out_stride = result.stride;
               task.out_rows = choice.pairs + p;
               c.k.matmul(task);
               add_low_rank(c, low_rank, e, p, n, begin, end,
                            [&](std::int64_t i) { return result.row(choice.pairs[p + i]) + begin; });
               if (down.bias == nullptr) return;
               for (std::int64_t i = 0; i < n; ++i) {
                 c.k.rows.add(down.bias + e * down.bias_stride + begin, 1, end - begin,
                              result.row(choice.pairs[p + i]) + begin);
               }
             });
}

void expert_sum(const Context& c, Rows result, const ExpertChoice& choice, float factor, Rows out) {
  c.enter(Operation::rows);
  constexpr std::int64_t step = 64;
  const std::int64_t n_steps = (out.n_cols + step - 1) / step;
  const Worker::Part part = c.worker.part(out.n_rows * n_steps);
  for (std::int64_t item = part.begin; item < part.end; ++item) {
    const std::int64_t row = item / n_steps;
    const std::int64_t begin = item % n_steps * step;
    const std::int64_t n = std::min(step, out.n_cols - begin);
    float sum[step];
    std::fill_n(sum, n, 0.0f);
    for (int slot = 0; slot < choice.n_used; ++slot) {
      const std::int64_t pair = row * choice.n_used + slot;
      c.k.rows.add(result.row(pair) + begin, choice.weight[pair], n, sum);
    }
    c.k.rows.add(sum, factor, n, out.row(row) + begin);
  }
  c.worker.sync();
}

}  // namespace llm::ops
