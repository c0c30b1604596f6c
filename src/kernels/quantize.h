#ifndef KERNELS_QUANTIZE_H
#define KERNELS_QUANTIZE_H

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace llm::kernels {

// Whether encode_row can write the type.
bool can_encode(TensorType type);

// Quantises n finite values, n a multiple of the type's block, into tensor_row_bytes(type, n) bytes. The type must be
// one that can_encode names. Thread-safe; a block depends on its own values only.
void encode_row(TensorType type, const float* src, std::byte* dst, std::int64_t n);

}  // namespace llm::kernels

#endif
