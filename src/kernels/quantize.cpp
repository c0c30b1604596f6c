#include "kernels/quantize.h"

#include "kernels/kernels.h"

namespace llm::kernels {

bool can_encode(TensorType type) {
  return kernels().encode_row(type, nullptr, nullptr, 0);
}

void encode_row(TensorType type, const float* src, std::byte* dst, std::int64_t n) {
  kernels().encode_row(type, src, dst, n);
}

}  // namespace llm::kernels
