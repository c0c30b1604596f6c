#ifndef OPS_MATMUL_H
#define OPS_MATMUL_H

#include <array>
#include <initializer_list>

#include "ops/types.h"

namespace llm::ops {

using kernels::ActFormat;
using kernels::Activation;
using kernels::n_act_formats;

// Which packed forms of a row the matrices that will read it need.
class InputFormats {
 public:
  InputFormats() = default;
  InputFormats(const Context& c, std::initializer_list<const WeightMatrix*> readers);
  void add(const Context& c, const WeightMatrix& reader);
  void add(const InputFormats& other) { mask_ |= other.mask_; }
  bool needs(ActFormat format) const { return (mask_ >> static_cast<int>(format) & 1u) != 0; }
  bool empty() const { return mask_ == 0; }

 private:
  unsigned mask_ = 0;
};

// Up to this many rows, every worker packs its own copy: cheaper than a barrier.
inline constexpr std::int64_t max_private_rows = 4;

// Memory for one set of packed rows, from the step's arena.
struct PackBuffer {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};
// What a PackBuffer needs for up to n_rows rows of n_cols on n_workers threads, in all packed forms.
std::size_t pack_buffer_bytes(const kernels::KernelTable& k, std::int64_t n_rows, std::int64_t n_cols, int n_workers);

// Rows as products read them: a worker's own copy or one for all, the handle hides which. Valid until its buffer is
// packed into again.
struct PackedRows {
  std::array<const std::byte*, n_act_formats> by_format = {};  // null: not packed in that form
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  const float* source = nullptr;  // rows that were read without a barrier since; null: none
};

struct Norm {
  kernels::NormKind kind = kernels::NormKind::rms;
  const float* weight = nullptr;  // [n_cols] or null: ones
  const float* bias = nullptr;    // [n_cols] or null: zeros
  float eps = 0;
};

// act(scale * gate) * up with the variations that families have:
//   g = min(gate_scale * gate, gate_max), u = clamp(up, -up_limit, up_limit) + up_offset, result act(g) * u
using Gated = kernels::GatedTask;

// Packs rows, normed rows, or gated rows for the products that follow. Barrier only for more than max_private_rows.
// Scratch: row_scratch_bytes(n_cols).
PackedRows pack(const Context& c, Rows x, InputFormats formats, PackBuffer buffer);
PackedRows norm_pack(const Context& c, Rows x, const Norm& norm, InputFormats formats, PackBuffer buffer);
PackedRows gated_pack(const Context& c, Rows gate, Rows up, const Gated& gated, InputFormats formats,
                      PackBuffer buffer);
std::size_t row_scratch_bytes(std::int64_t n_cols);

// One of the products of an input. out = scale * (W x + bias), or out += that.
struct Product {
  const WeightMatrix* weight = nullptr;
  const float* bias = nullptr;  // [n_out] or null
  Rows out = {};                // [n_rows, n_out]
  bool add = false;
  float scale = 1;
  Activation activation = Activation::none;  // of (W x + bias), before the scale
};

// All products of one input in one go. Barrier at the end. Scratch: matmul_scratch_bytes.
void matmul(const Context& c, const PackedRows& in, std::span<const Product> products);
inline void matmul(const Context& c, const PackedRows& in, std::initializer_list<Product> products) {
  matmul(c, in, std::span<const Product>(products.begin(), products.size()));
}

// out = act(gate x) * (up x), the two halves computed side by side. Barrier at the end.
struct GatedProduct {
  const WeightMatrix* gate = nullptr;
  const WeightMatrix* up = nullptr;
  const float* gate_bias = nullptr;
  const float* up_bias = nullptr;
  Gated gated = {};
  Rows out = {};  // [n_rows, gate.n_out]
};
void matmul_gated(const Context& c, const PackedRows& in, const GatedProduct& product);

// Scratch of a worker for products with this matrix (the wider of a gated pair) and up to n_rows rows.
std::size_t matmul_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight, std::int64_t n_rows);

// out row = [W_0 x_0 | W_1 x_1 | ...]: x cut into n_blocks equal parts, each with its own square-or-not matrix; weight
// rows of the blocks follow each other. Inputs are not quantised. Barrier at the end.
void block_linear(const Context& c, Rows x, const WeightMatrix& weight, int n_blocks, const float* bias, Rows out);
std::size_t block_linear_scratch_bytes(const kernels::KernelTable& k, const WeightMatrix& weight);

}  // namespace llm::ops

#endif
