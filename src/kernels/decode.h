#ifndef KERNELS_DECODE_H
#define KERNELS_DECODE_H

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace llm::kernels {

// Writes the n values that src holds, n a multiple of the type's block. The values are the correctly rounded exact
// ones, the same on every machine. Integers become floats (rounded where they have more than 24 bits).
void decode_row(TensorType type, const std::byte* src, float* dst, std::int64_t n);

}  // namespace llm::kernels

#endif
