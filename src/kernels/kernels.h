#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor_type.h"
#include "kernels/attention_kernels.h"
#include "kernels/row_kernels.h"
#include "kernels/scan_kernels.h"

// Arithmetic on pointers, sizes and strides. One KernelTable per instruction set; kernels() gives the best one the CPU
// has (or the one LLMGEN_ISA names). Nothing in a table allocates, locks or throws.
//
// Promise (docs/design.md, "One answer"): a result element depends only on its own inputs, summed in one fixed order
// per instruction set, whatever the number of rows or tokens in the call and whichever thread makes it.

namespace llm::kernels {

// How a row of activations is stored for a product with weights.
enum class ActFormat : std::uint8_t {
  f32,     // as it is
  i8_32,   // int8 per 32 values, with one float scale and one sum each; layout private to the kernels
  i10_32,  // the same with whole numbers of 10 bits
  bf16x2,  // as the sum of two bfloat16 numbers (16 bits), where the machine multiplies those; layout private too
};
inline constexpr std::size_t n_act_formats = 4;

// How closely a product takes its activations.
enum class Precision : std::uint8_t {
  usual,  // int8 for quantised weights
  fine,   // whole numbers of 10 bits for quantised weights
  exact,  // never quantised
};

// out[t * out_stride + r] = sum_k weight[r][k] * act[t][k]  for r in [row_begin, row_end), t in [0, n_tokens)
struct MatmulTask {
  const std::byte* weight = nullptr;  // row 0; rows follow each other, row_bytes = tensor_row_bytes(type, n_cols)
  TensorType type = TensorType::F32;
  std::int64_t n_cols = 0;
  std::int64_t row_begin = 0, row_end = 0;
  const std::byte* act = nullptr;  // packed rows, act_row_bytes(format, n_cols) apart
  ActFormat format = ActFormat::f32;
  std::int64_t n_tokens = 0;
  const std::int32_t* act_rows = nullptr;  // act row of token t (experts); null: t
  float* out = nullptr;
  std::int64_t out_stride = 0;
  const std::int32_t* out_rows = nullptr;  // out row of token t; null: t
  std::byte* scratch = nullptr;            // of this thread, matmul_scratch_bytes
};

struct KernelTable {
  const char* name;
  ActFormat (*act_format)(TensorType type, std::int64_t n_cols, Precision precision);
  std::size_t (*act_row_bytes)(ActFormat format, std::int64_t n_cols);
  void (*pack_act)(ActFormat format, const float* x, std::int64_t n_cols, std::byte* out);
  std::size_t (*matmul_scratch_bytes)(TensorType type, std::int64_t n_cols);
  void (*matmul)(const MatmulTask& task);
  void (*decode_row)(TensorType type, const std::byte* src, float* dst, std::int64_t n);  // exact values
  // Quantises; see quantize.h. False, and nothing written, if the type has no quantiser.
  bool (*encode_row)(TensorType type, const float* src, std::byte* dst, std::int64_t n);
  RowKernels rows;
  AttentionKernels attention;
  ScanKernels scans;
};

// The best table that this CPU and operating system have, or the one that the environment variable LLMGEN_ISA names;
// chosen once. Throws Error(usage) if LLMGEN_ISA names none that this machine has.
const KernelTable& kernels();

// All tables that can run here, best first, the portable one last.
std::span<const KernelTable* const> available_kernels();

}  // namespace llm::kernels

#endif
