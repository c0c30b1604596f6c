#ifndef OPS_EXPERTS_H
#define OPS_EXPERTS_H

#include "ops/matmul.h"

namespace llm::ops {

struct Router {
  enum class Score : std::uint8_t { softmax, sigmoid, raw };
  Score score = Score::softmax;
  int n_used = 0;                          // experts a row
  const float* correction_bias = nullptr;  // [n_experts] added to the score for choosing only
  // Choice within the best n_groups_used of n_groups groups of experts; a group counts its best score, or (bias given
  // by the family as in DeepSeek-V3) the sum of its two best.
  int n_groups = 1;
  int n_groups_used = 1;
  bool group_by_best_two = false;
  bool softmax_of_chosen = false;  // weights: softmax over the chosen scores
  bool normalize = false;          // weights divided by max(their sum + sum_offset, sum_min)
  float sum_offset = 0;            // 1e-20 in DeepSeek-V3
  float sum_min = 0;               // moe_norm_min of ERNIE 4.5
  float scale = 1;
};

// Which expert runs which rows. Pair p = row * n_used + slot. Memory from the step's arena.
struct ExpertChoice {
  std::int32_t* expert = nullptr;  // [n_rows * n_used] in order of falling score, ties to the lower number
  float* weight = nullptr;         // [n_rows * n_used]
  std::int32_t* begin = nullptr;   // [n_experts + 1] into `pairs`
  std::int32_t* pairs = nullptr;   // [n_rows * n_used] by expert, then ascending
  std::int32_t* rows = nullptr;    // [n_rows * n_used] row of pairs[i]
  std::int64_t n_pairs = 0;
  int n_experts = 0;
  int n_used = 0;
};
std::size_t expert_choice_bytes(std::int64_t n_rows, int n_experts, int n_used);

// logits [n_rows, n_experts]. At most 64 groups. Barriers inside and at the end. Scratch: route_scratch_bytes.
ExpertChoice route(const Context& c, Rows logits, const Router& router, std::byte* memory);

std::size_t route_scratch_bytes(int n_experts);

// Matrices of all experts, equally far apart or each where it lies. What adapters add is in first.low_rank.
struct ExpertMatrices {
  WeightMatrix first = {};
  std::int64_t stride_bytes = 0;           // from an expert to the next
  const std::byte* const* each = nullptr;  // [n_experts] or null
  const float* bias = nullptr;             // [n_experts, bias_stride] or null
  std::int64_t bias_stride = 0;

  WeightMatrix matrix(std::int64_t expert) const {
    return {each != nullptr ? each[expert] : first.data + expert * stride_bytes, first.type, first.n_out, first.n_in};
  }
};

// hidden[p] = act(gate x) * (up x) of pair p with its expert; without gate data: act(up x).  hidden is [n_pairs, n_ff].
// Barrier at the end. Scratch of this and expert_down: expert_scratch_bytes of each matrix.
void expert_gated(const Context& c, const PackedRows& in, const ExpertChoice& choice, const ExpertMatrices& gate,
                  const ExpertMatrices& up, const Gated& gated, Rows hidden);
std::size_t expert_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight);
// The end of a worker's scratch that the low-rank part of a matrix needs.
std::size_t expert_low_rank_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight);
// result[p] = down hidden[p]; in holds n_pairs rows. Barrier at the end.
void expert_down(const Context& c, const PackedRows& in, const ExpertChoice& choice, const ExpertMatrices& down,
                 Rows result);
// out[row] += factor * sum over slots, in slot order, of weight * result[pair]. Barrier at the end.
void expert_sum(const Context& c, Rows result, const ExpertChoice& choice, float factor, Rows out);

}  // namespace llm::ops

#endif
