#ifndef KERNELS_ROW_TYPES_H
#define KERNELS_ROW_TYPES_H

#include <cstdint>

namespace llm::kernels {

enum class Activation : std::uint8_t {
  none,
  silu,        // x sigmoid(x)
  gelu_erf,    // x Phi(x)
  gelu_tanh,   // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  quick_gelu,  // x sigmoid(1.702 x)
  relu,
  relu2,  // relu(x)^2
  sigmoid,
  softplus,  // ln(1 + e^x)
  tanh,
};

enum class NormKind : std::uint8_t {
  rms,    // x / sqrt(mean(x^2) + eps)
  layer,  // (x - mean) / sqrt(variance + eps)
};

}  // namespace llm::kernels

#endif
