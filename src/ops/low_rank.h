#ifndef OPS_LOW_RANK_H
#define OPS_LOW_RANK_H

#include <array>

#include "ops/matmul.h"

namespace llm::ops {

// What adapters add to a matrix W: W x becomes W x + B (A x), in float32. Rows of A and columns of B are padded with
// zeros to a multiple of low_rank_unit. For the matrices of experts, A and B are those of expert 0, the others follow.
// For a table of tokens, row i becomes W_i + B A_i, and A is [n_tokens, rank].
struct LowRank {
  WeightMatrix a;  // [rank, n_in], F32
  WeightMatrix b;  // [n_out, rank], F32; scales are multiplied in
};
inline constexpr std::int64_t low_rank_unit = 16;  // packed rows of that many floats have no gaps

// A x of the low-rank parts that one call's matrices have. Parts that several of them share are computed once.
class LowRankRows {
 public:
  void add(const WeightMatrix& weight);
  bool empty() const { return n_ == 0; }
  // Fills memory of the context, one part after the other. Barrier at the end; none if there is nothing to do.
  void compute(const Context& c, const PackedRows& in);
  // Adds B (A x) to out [n_tokens, n_rows], for tokens from `token` on and output rows from `begin` on of this matrix.
  void add_to(const Context& c, const WeightMatrix& weight, std::int64_t token, std::int64_t n_tokens,
              std::int64_t begin, std::int64_t n_rows, float* out, std::int64_t out_stride) const;

 private:
  struct Part {
    const LowRank* low_rank = nullptr;
    float* rows = nullptr;  // [n_tokens, rank]
  };
  std::array<Part, 8> parts_ = {};
  std::size_t n_ = 0;
};

// out += B A_i of a table.
void add_low_rank_row(const Context& c, const WeightMatrix& table, std::int64_t i, float* out);

// B v [n_tokens, n_rows] for n_tokens products v with A, [n_tokens, rank], and n_rows rows of B from first_row on; at
// the end of the worker's scratch.
const float* low_rank_product(const Context& c, const WeightMatrix& b, std::int64_t first_row, std::int64_t n_rows,
                              const void* v, std::int64_t n_tokens);
// How much of the scratch n_floats results take, with what that product takes itself.
std::size_t low_rank_result_bytes(const kernels::KernelTable& k, const WeightMatrix& b, std::int64_t n_floats);

// The end of a worker's scratch, behind what the products take themselves, that steps of up to n_rows rows need. 0 for
// a matrix without adapters.
std::size_t low_rank_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight, std::int64_t n_rows);

}  // namespace llm::ops

#endif
