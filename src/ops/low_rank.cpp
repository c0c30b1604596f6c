#include "ops/low_rank.h"

#include <algorithm>

#include "ops/work.h"

namespace llm::ops {
namespace {

using kernels::MatmulTask;

// Pieces of work of A x: few rows of A for a single token, few tokens for many.
constexpr std::int64_t piece_ranks = 8, piece_tokens = 16;

}  // namespace

std::size_t low_rank_result_bytes(const kernels::KernelTable& k, const WeightMatrix& b, std::int64_t n_floats) {
  return align_bytes(static_cast<std::size_t>(n_floats) * sizeof(float)) +
         align_bytes(k.matmul_scratch_bytes(b.type, b.n_in));
}

const float* low_rank_product(const Context& c, const WeightMatrix& b, std::int64_t first_row, std::int64_t n_rows,
                              const void* v, std::int64_t n_tokens) {
  const std::size_t bytes = low_rank_result_bytes(c.k, b, n_tokens * n_rows);
  std::byte* scratch = c.worker.scratch.data() + (c.worker.scratch.size() - bytes) / arena_alignment * arena_alignment;
  MatmulTask task;
  task.weight = b.row(first_row);
  task.type = b.type;
  task.n_cols = b.n_in;
  task.row_end = n_rows;
  task.act = static_cast<const std::byte*>(v);
  task.format = ActFormat::f32;
  task.n_tokens = n_tokens;
  task.out = reinterpret_cast<float*>(scratch);
  task.out_stride = n_rows;
  task.scratch = scratch + align_bytes(static_cast<std::size_t>(n_tokens * n_rows) * sizeof(float));
  c.k.matmul(task);
  return task.out;
}

void LowRankRows::add(const WeightMatrix& weight) {
  if (weight.low_rank == nullptr) return;
  const auto end = parts_.begin() + static_cast<std::ptrdiff_t>(n_);
  if (std::find_if(parts_.begin(), end, [&](const Part& p) { return p.low_rank == weight.low_rank; }) != end) return;
  parts_[n_++].low_rank = weight.low_rank;
}

void LowRankRows::compute(const Context& c, const PackedRows& in) {
  if (n_ == 0) return;
  const bool few = in.n_rows < piece_tokens;
  const std::int64_t tokens = few ? in.n_rows : piece_tokens;
  const std::int64_t n_token_pieces = (in.n_rows + tokens - 1) / tokens;
  float* memory = c.low_rank;
  WorkItems items(c.worker);
  for (std::size_t i = 0; i < n_; ++i) {
    const WeightMatrix& a = parts_[i].low_rank->a;
    parts_[i].rows = memory;
    memory += in.n_rows * a.n_out;
    const std::int64_t ranks = few ? piece_ranks : a.n_out;
    const std::int64_t n_rank_pieces = (a.n_out + ranks - 1) / ranks;
    MatmulTask task;
    task.type = a.type;
    task.n_cols = a.n_in;
    task.format = ActFormat::f32;
    task.scratch = c.worker.scratch.data();
    const std::byte* act = in.by_format[static_cast<std::size_t>(ActFormat::f32)];
    const std::size_t act_bytes = c.k.act_row_bytes(ActFormat::f32, a.n_in);
    items.next_group(n_token_pieces * n_rank_pieces);
    for (std::int64_t item = 0; items.take(item);) {
      const std::int64_t t = item / n_rank_pieces * tokens, r = item % n_rank_pieces * ranks;
      task.weight = a.row(r);
      task.row_end = std::min(ranks, a.n_out - r);
      task.act = act + static_cast<std::size_t>(t) * act_bytes;
      task.n_tokens = std::min(tokens, in.n_rows - t);
      task.out = parts_[i].rows + t * a.n_out + r;
      task.out_stride = a.n_out;
      c.k.matmul(task);
    }
  }
  c.worker.sync();
}

void LowRankRows::add_to(const Context& c, const WeightMatrix& weight, std::int64_t token, std::int64_t n_tokens,
                         std::int64_t begin, std::int64_t n_rows, float* out, std::int64_t out_stride) const {
  if (weight.low_rank == nullptr) return;
  const auto part =
      std::find_if(parts_.begin(), parts_.end(), [&](const Part& p) { return p.low_rank == weight.low_rank; });
  const WeightMatrix& b = weight.low_rank->b;
  const float* sum = low_rank_product(c, b, weight.low_rank_row + begin, n_rows, part->rows + token * b.n_in, n_tokens);
  for (std::int64_t i = 0; i < n_tokens; ++i) c.k.rows.add(sum + i * n_rows, 1, n_rows, out + i * out_stride);
}

void add_low_rank_row(const Context& c, const WeightMatrix& table, std::int64_t i, float* out) {
  const WeightMatrix& b = table.low_rank->b;
  c.k.rows.add(low_rank_product(c, b, 0, b.n_out, table.low_rank->a.row(i), 1), 1, b.n_out, out);
}

std::size_t low_rank_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight, std::int64_t n_rows) {
  if (weight.low_rank == nullptr) return 0;
  return low_rank_result_bytes(k, weight.low_rank->b, product_floats(n_rows)) + arena_alignment;
}

}  // namespace llm::ops
