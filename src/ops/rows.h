#ifndef OPS_ROWS_H
#define OPS_ROWS_H

#include "ops/matmul.h"

// Operations on rows one by one. Each ends with a barrier. Scratch: row_scratch_bytes(n_cols).

namespace llm::ops {

// out[i] = scale * table[ids[i]], with what adapters add to the table; with add: out[i] += that. ids must be below
// table.n_out.
void embed(const Context& c, const WeightMatrix& table, std::span<const std::int32_t> ids, float scale, bool add,
           Rows out);
// out[i] += table[position + offset] for the rows of each sequence (learned positions).
void add_positions(const Context& c, const WeightMatrix& table, Sequences sequences, std::int64_t offset, Rows out);
// out[i] = x[rows[i]]
void gather_rows(const Context& c, Rows x, std::span<const std::int32_t> rows, Rows out);

// out = norm(x); out may be x.
void norm(const Context& c, Rows x, const Norm& norm, Rows out);
// x += scale * norm(y)
void add_norm(const Context& c, Rows y, const Norm& norm, float scale, Rows x);
// RMS or layer norm over each group of n_cols / n_groups columns by itself; the weight is over all columns. With gate
// (data not null): norm(x * silu(gate)) or, gate_after, norm(x) * silu(gate). out may be x.
void grouped_norm(const Context& c, Rows x, const Norm& norm, int n_groups, Rows gate, bool gate_after, Rows out);

void scale(const Context& c, Rows x, float factor);
void scale_columns(const Context& c, Rows x, const float* factor);  // [n_cols]
void add(const Context& c, Rows y, float factor, Rows x);           // x += factor * y
void multiply(const Context& c, Rows y, Rows x);                    // x *= y
// x += sigmoid(gate[i]) * y, one number a row (shared experts); gate is [n_rows, 1].
void add_sigmoid_gated(const Context& c, Rows y, Rows gate, Rows x);
void activation(const Context& c, Rows x, Activation act);
// out = act(gate) * up; out may be either.
void gated(const Context& c, Rows gate, Rows up, const Gated& spec, Rows out);
void clamp(const Context& c, Rows x, float low, float high);
void softcap(const Context& c, Rows x, float cap);  // cap * tanh(x / cap)
void copy(const Context& c, Rows x, Rows out);
// x[i] *= 1 / sqrt(sum over each group of n_cols / n_groups columns of x^2 + eps) * factor
void l2_normalize(const Context& c, Rows x, int n_groups, float eps, float factor);

// out = mix * x_t + (1 - mix) * x_(t-1) per column; x_(-1) is the state [n_cols] at state_offset of the record, which
// becomes the last row when store is true. Several mixes of one x: call with store on the last.
void token_shift(const Context& c, Rows x, const float* mix, Sequences sequences, std::size_t state_offset, bool store,
                 Rows out);

}  // namespace llm::ops

#endif
