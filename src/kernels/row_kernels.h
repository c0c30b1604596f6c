#ifndef KERNELS_ROW_KERNELS_H
#define KERNELS_ROW_KERNELS_H

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"
#include "kernels/row_types.h"

// Kernels on single rows of floats: part of the KernelTable. x and out may be the same row everywhere. Sums run in one
// order that depends on n only; a value computed element by element does not depend on its place in the row.

namespace llm::kernels {

// g = min(gate_scale * gate, gate_max), u = clamp(up, -up_limit, up_limit) + up_offset; result act(g) * u
struct GatedTask {
  Activation activation = Activation::silu;
  float gate_scale = 1;
  float gate_max = __builtin_inff();
  float up_limit = __builtin_inff();
  float up_offset = 0;
};

struct RowKernels {
  // out = norm(x) * weight + bias; weight and bias may be null.
  void (*norm)(NormKind kind, const float* x, std::int64_t n, const float* weight, const float* bias, float eps,
               float* out);
  float (*sum_squares)(const float* x, std::int64_t n);
  void (*activate)(Activation activation, const float* x, std::int64_t n, float* out);
  void (*gated)(const GatedTask& task, const float* gate, const float* up, std::int64_t n, float* out);
  void (*scale)(const float* x, float factor, std::int64_t n, float* out);
  void (*multiply)(const float* x, const float* y, std::int64_t n, float* out);
  // x += factor * y, the product rounded before the sum.
  void (*add)(const float* y, float factor, std::int64_t n, float* x);
  void (*clamp)(const float* x, float low, float high, std::int64_t n, float* out);
  void (*softcap)(const float* x, float cap, std::int64_t n, float* out);  // cap * tanh(x / cap)
  // out = mix * x + (1 - mix) * previous
  void (*mix)(const float* x, const float* previous, const float* mix, std::int64_t n, float* out);
  // Rotates pairs (i, i + n_pairs) or, adjacent, (2 i, 2 i + 1) of x in place.
  void (*rotate)(bool adjacent, const float* cosines, const float* sines, std::int64_t n_pairs, float* x);
};

}  // namespace llm::kernels

#endif
