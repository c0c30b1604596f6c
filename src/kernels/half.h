#ifndef KERNELS_HALF_H
#define KERNELS_HALF_H

#include <cstdint>

// Half precision and bfloat16 in portable integer arithmetic. Everything is static: the files of the instruction sets
// may include this without sharing code among each other.

namespace llm::kernels {

static inline float float_from_bits(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

static inline std::uint32_t bits_from_float(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float_from_half(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);  // infinity, NaN
  if (rest < 0x400u) {  // zero, denormal: an integer times 2^-24
    const float magnitude = static_cast<float>(rest) * 0x1p-24f;
    return float_from_bits(sign | bits_from_float(magnitude));
  }
  return float_from_bits(sign | ((rest << 13) + (112u << 23)));
}

// Rounds to nearest, ties to even; too large becomes infinity; NaN stays NaN.
static inline std::uint16_t half_from_float(float value) {
  const std::uint32_t bits = bits_from_float(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u | (rest >> 13 & 0x1ffu));
  if (rest >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (rest < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded
    const float shifted = float_from_bits(rest) + 0.5f;
    return static_cast<std::uint16_t>(sign | (bits_from_float(shifted) - bits_from_float(0.5f)));
  }
  const std::uint32_t odd = rest >> 13 & 1u;
  return static_cast<std::uint16_t>(sign | (rest - (112u << 23) + 0xfffu + odd) >> 13);
}

static inline float float_from_bfloat(std::uint16_t b) {
  return float_from_bits(static_cast<std::uint32_t>(b) << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN.
static inline std::uint16_t bfloat_from_float(float value) {
  const std::uint32_t bits = bits_from_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace llm::kernels

#endif
