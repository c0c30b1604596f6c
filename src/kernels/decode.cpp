#include "kernels/decode.h"

#include <cstring>

#include "kernels/half.h"
#include "kernels/iq_grids.h"

// One decoder a type: block bytes b -> values y. Layouts follow the ggml file format, where b[k] is byte k of a block.

namespace llm::kernels {
namespace {

using u8 = std::uint8_t;

std::uint32_t u16_at(const u8* p) {
  return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8;
}

std::uint32_t u32_at(const u8* p) {
  return u16_at(p) | u16_at(p + 2) << 16;
}

float half_at(const u8* p) {
  return float_from_half(static_cast<std::uint16_t>(u16_at(p)));
}

float signed_code(int code) {
  return static_cast<float>(code);
}

float negate_if(bool negative, float value) {
  return negative ? -value : value;
}

// Twice the E2M1 numbers of MXFP4 and NVFP4.
constexpr std::int8_t e2m1_codes[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
// The non-linear codes of IQ4_NL and IQ4_XS.
constexpr std::int8_t iq4_codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// 2^(e - 128) / 1, e of 0 and 1 being denormal.
float mx_scale(u8 e) {
  return float_from_bits(e >= 2 ? (e - 1u) << 23 : 0x200000u << e);
}

// Half an unsigned E4M3 number (bias 7); 0x7f counts as 0 and bit 7 is not looked at, but for 0xff.
float nv_scale(u8 byte) {
  if (byte == 0x7f) return 0;
  const int exponent = byte >> 3 & 15;
  const float mantissa = static_cast<float>(byte & 7);
  if (exponent == 0) return mantissa * 0x1p-10f;
  return (8 + mantissa) * float_from_bits(static_cast<std::uint32_t>(127 - 11 + exponent) << 23);
}

struct ScaleMin {
  float scale;
  float min;
};

// The 6-bit scale and minimum of sub-block k in the twelve bytes that Q4_K and Q5_K share.
ScaleMin k_scale_min(const u8* s, int k) {
  if (k < 4) return {static_cast<float>(s[k] & 63), static_cast<float>(s[k + 4] & 63)};
  return {static_cast<float>((s[k + 4] & 15) | (s[k - 4] >> 6) << 4),
          static_cast<float>(s[k + 4] >> 4 | (s[k] >> 6) << 4)};
}

void decode_q4_0(const u8* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * signed_code((b[2 + i] & 15) - 8);
    y[i + 16] = d * signed_code((b[2 + i] >> 4) - 8);
  }
}

void decode_q4_1(const u8* b, float* y) {
  const float d = half_at(b);
  const float m = half_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * signed_code(b[4 + i] & 15) + m;
    y[i + 16] = d * signed_code(b[4 + i] >> 4) + m;
  }
}

int fifth_bit(std::uint32_t bits, int i) {
  return static_cast<int>(bits >> i & 1u) << 4;
}

void decode_q5_0(const u8* b, float* y) {
  const float d = half_at(b);
  const std::uint32_t high = u32_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * signed_code(((b[6 + i] & 15) | fifth_bit(high, i)) - 16);
    y[i + 16] = d * signed_code((b[6 + i] >> 4 | fifth_bit(high, i + 16)) - 16);
  }
}

void decode_q5_1(const u8* b, float* y) {
  const float d = half_at(b);
  const float m = half_at(b + 2);
  const std::uint32_t high = u32_at(b + 4);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * signed_code((b[8 + i] & 15) | fifth_bit(high, i)) + m;
    y[i + 16] = d * signed_code(b[8 + i] >> 4 | fifth_bit(high, i + 16)) + m;
  }
}

void decode_q8_0(const u8* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 32; ++i) y[i] = d * signed_code(static_cast<std::int8_t>(b[2 + i]));
}

void decode_q1_0(const u8* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 128; ++i) y[i] = negate_if((b[2 + i / 8] >> i % 8 & 1) == 0, d);
}

void decode_q2_0(const u8* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 64; ++i) y[i] = d * signed_code((b[2 + i / 4] >> 2 * (i % 4) & 3) - 1);
}

void decode_mxfp4(const u8* b, float* y) {
  const float d = mx_scale(b[0]);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * signed_code(e2m1_codes[b[1 + i] & 15]);
    y[i + 16] = d * signed_code(e2m1_codes[b[1 + i] >> 4]);
  }
}

void decode_nvfp4(const u8* b, float* y) {
  for (int s = 0; s < 4; ++s) {
    const float d = nv_scale(b[s]);
    for (int i = 0; i < 8; ++i) {
      const u8 pair = b[4 + 8 * s + i];
      y[16 * s + i] = d * signed_code(e2m1_codes[pair & 15]);
      y[16 * s + i + 8] = d * signed_code(e2m1_codes[pair >> 4]);
    }
  }
}

void decode_iq4_nl(const u8* b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * signed_code(iq4_codes[b[2 + i] & 15]);
    y[i + 16] = d * signed_code(iq4_codes[b[2 + i] >> 4]);
  }
}

void decode_iq4_xs(const u8* b, float* y) {
  const float d = half_at(b);
  const std::uint32_t high = u16_at(b + 2);
  for (int k = 0; k < 8; ++k) {
    const int low = b[4 + k / 2] >> 4 * (k % 2) & 15;
    const float scale = d * signed_code((low | static_cast<int>(high >> 2 * k & 3u) << 4) - 32);
    const u8* codes = b + 8 + 16 * k;
    for (int i = 0; i < 16; ++i) {
      y[32 * k + i] = scale * signed_code(iq4_codes[codes[i] & 15]);
      y[32 * k + i + 16] = scale * signed_code(iq4_codes[codes[i] >> 4]);
    }
  }
}

void decode_q2_k(const u8* b, float* y) {
  const float d = half_at(b + 80);
  const float dmin = half_at(b + 82);
  for (int k = 0; k < 16; ++k) {
    const float scale = d * signed_code(b[k] & 15);
    const float min = dmin * signed_code(b[k] >> 4);
    const u8* codes = b + 16 + 32 * (k / 8) + 16 * (k % 2);
    const int shift = 2 * (k % 8 / 2);
    for (int i = 0; i < 16; ++i) y[16 * k + i] = scale * signed_code(codes[i] >> shift & 3) - min;
  }
}

void decode_q3_k(const u8* b, float* y) {
  const float d = half_at(b + 108);
  for (int k = 0; k < 16; ++k) {
    const int low = b[96 + k % 8] >> 4 * (k / 8) & 15;
    const int high = b[104 + k % 4] >> 2 * (k / 4) & 3;
    const float scale = d * signed_code((low | high << 4) - 32);
    const u8* codes = b + 32 + 32 * (k / 8) + 16 * (k % 2);
    const u8* thirds = b + 16 * (k % 2);
    const int shift = 2 * (k % 8 / 2);
    for (int i = 0; i < 16; ++i) {
      const int code = (codes[i] >> shift & 3) | (thirds[i] >> k / 2 & 1) << 2;
      y[16 * k + i] = scale * signed_code(code - 4);
    }
  }
}

void decode_q4_k(const u8* b, float* y) {
  const float d = half_at(b);
  const float dmin = half_at(b + 2);
  for (int k = 0; k < 8; ++k) {
    const ScaleMin s = k_scale_min(b + 4, k);
    const u8* codes = b + 16 + 32 * (k / 2);
    const int shift = 4 * (k % 2);
    for (int i = 0; i < 32; ++i) y[32 * k + i] = d * s.scale * signed_code(codes[i] >> shift & 15) - dmin * s.min;
  }
}

void decode_q5_k(const u8* b, float* y) {
  const float d = half_at(b);
  const float dmin = half_at(b + 2);
  for (int k = 0; k < 8; ++k) {
    const ScaleMin s = k_scale_min(b + 4, k);
    const u8* codes = b + 48 + 32 * (k / 2);
    const int shift = 4 * (k % 2);
    for (int i = 0; i < 32; ++i) {
      const int code = (codes[i] >> shift & 15) | (b[16 + i] >> k & 1) << 4;
      y[32 * k + i] = d * s.scale * signed_code(code) - dmin * s.min;
    }
  }
}

void decode_q6_k(const u8* b, float* y) {
  const float d = half_at(b + 208);
  for (int k = 0; k < 16; ++k) {
    const float scale = d * signed_code(static_cast<std::int8_t>(b[192 + k]));
    const int half = k / 8;      // which 128 elements
    const int part = k % 8 / 2;  // which 32 of them
    const int first = 16 * (k % 2);
    const u8* low = b + 64 * half + 32 * (part % 2) + first;
    const u8* high = b + 128 + 32 * half + first;
    for (int i = 0; i < 16; ++i) {
      const int code = (low[i] >> 4 * (part / 2) & 15) | (high[i] >> 2 * part & 3) << 4;
      y[16 * k + i] = scale * signed_code(code - 32);
    }
  }
}

// Eight values of a grid row, their signs in the bits of a byte.
void put_grid8(std::uint64_t row, unsigned signs, float scale, float* y) {
  for (int i = 0; i < 8; ++i) {
    y[i] = negate_if((signs >> i & 1u) != 0, scale * signed_code(static_cast<int>(row >> 8 * i & 255u)));
  }
}

void put_grid4(std::uint32_t row, unsigned signs, float scale, float* y) {
  for (int i = 0; i < 4; ++i) {
    y[i] = negate_if((signs >> i & 1u) != 0, scale * signed_code(static_cast<int>(row >> 8 * i & 255u)));
  }
}

void decode_iq2_xxs(const u8* b, float* y) {
  const float d = half_at(b);
  for (int k = 0; k < 8; ++k) {
    const u8* numbers = b + 2 + 8 * k;
    const std::uint32_t word = u32_at(numbers + 4);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
    for (int g = 0; g < 4; ++g) {
      put_grid8(iq2_xxs_grid[numbers[g]], iq_signs[word >> 7 * g & 127u], scale, y + 32 * k + 8 * g);
    }
  }
}

float iq2_scale(float d, const u8* scales, int g) {
  return d * (0.5f + static_cast<float>(scales[g / 4] >> 4 * (g / 2 % 2) & 15)) * 0.25f;
}

void decode_iq2_xs(const u8* b, float* y) {
  const float d = half_at(b);
  for (int g = 0; g < 32; ++g) {
    const std::uint32_t word = u16_at(b + 2 + 2 * g);
    put_grid8(iq2_xs_grid[word & 511u], iq_signs[word >> 9], iq2_scale(d, b + 66, g), y + 8 * g);
  }
}

void decode_iq2_s(const u8* b, float* y) {
  const float d = half_at(b);
  for (int g = 0; g < 32; ++g) {
    const int number = b[2 + g] | (b[66 + g / 4] >> 2 * (g % 4) & 3) << 8;
    put_grid8(iq2_s_grid[number], b[34 + g], iq2_scale(d, b + 74, g), y + 8 * g);
  }
}

void decode_iq3_xxs(const u8* b, float* y) {
  const float d = half_at(b);
  for (int k = 0; k < 8; ++k) {
    const std::uint32_t word = u32_at(b + 66 + 4 * k);
    const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
    for (int g = 0; g < 8; ++g) {
      const unsigned signs = iq_signs[word >> 7 * (g / 2) & 127u];
      put_grid4(iq3_xxs_grid[b[2 + 8 * k + g]], signs >> 4 * (g % 2), scale, y + 32 * k + 4 * g);
    }
  }
}

void decode_iq3_s(const u8* b, float* y) {
  const float d = half_at(b);
  for (int g = 0; g < 64; ++g) {
    const int number = b[2 + g] | (b[66 + g / 8] >> g % 8 & 1) << 8;
    const int code = b[106 + g / 16] >> 4 * (g / 8 % 2) & 15;
    const unsigned signs = b[74 + g / 2];
    put_grid4(iq3_s_grid[number], signs >> 4 * (g % 2), d * signed_code(1 + 2 * code), y + 4 * g);
  }
}

void put_iq1(int number, float scale, float shift, float* y) {
  const std::uint64_t row = iq1_grid[number];
  for (int i = 0; i < 8; ++i) {
    y[i] = scale * (signed_code(static_cast<std::int8_t>(row >> 8 * i & 255u)) + shift);
  }
}

void decode_iq1_s(const u8* b, float* y) {
  const float d = half_at(b);
  for (int g = 0; g < 32; ++g) {
    const std::uint32_t word = u16_at(b + 34 + 2 * (g / 4));
    const int number = b[2 + g] | static_cast<int>(word >> 3 * (g % 4) & 7u) << 8;
    const float scale = d * static_cast<float>(2 * (word >> 12 & 7u) + 1);
    put_iq1(number, scale, (word >> 15) != 0 ? -0.125f : 0.125f, y + 8 * g);
  }
}

void decode_iq1_m(const u8* b, float* y) {
  std::uint32_t bits = 0;
  for (int w = 0; w < 4; ++w) bits |= (u16_at(b + 48 + 2 * w) >> 12) << 4 * w;
  const float d = float_from_half(static_cast<std::uint16_t>(bits));
  for (int g = 0; g < 32; ++g) {
    const int nibble = b[32 + g / 2] >> 4 * (g % 2) & 15;
    const int k = g / 2;
    const std::uint32_t code = u16_at(b + 48 + 2 * (k / 4)) >> 3 * (k % 4) & 7u;
    const float scale = d * static_cast<float>(2 * code + 1);
    put_iq1(b[g] | (nibble & 7) << 8, scale, (nibble & 8) != 0 ? -0.125f : 0.125f, y + 8 * g);
  }
}

void decode_tq1_0(const u8* b, float* y) {
  const float d = half_at(b + 52);
  const auto digits = [d](const u8* bytes, int n_bytes, int n_digits, float* out) {
    unsigned power = 1;
    for (int n = 0; n < n_digits; ++n, power *= 3) {
      for (int i = 0; i < n_bytes; ++i) {
        const unsigned rotated = bytes[i] * power & 255u;
        out[n * n_bytes + i] = d * signed_code(static_cast<int>(rotated * 3 >> 8) - 1);
      }
    }
  };
  digits(b, 32, 5, y);
  digits(b + 32, 16, 5, y + 160);
  digits(b + 48, 4, 4, y + 240);
}

void decode_tq2_0(const u8* b, float* y) {
  const float d = half_at(b + 64);
  for (int i = 0; i < 256; ++i) y[i] = d * signed_code((b[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3) - 1);
}

template <int n_elements, int n_bytes, void (*decode)(const u8*, float*)>
void decode_blocks(const u8* src, float* dst, std::int64_t n) {
  for (std::int64_t i = 0; i < n / n_elements; ++i) decode(src + i * n_bytes, dst + i * n_elements);
}

template <typename T>
void decode_numbers(const u8* src, float* dst, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, src + i * static_cast<std::int64_t>(sizeof value), sizeof value);
    dst[i] = static_cast<float>(value);
  }
}

}  // namespace

void decode_row(TensorType type, const std::byte* src, float* dst, std::int64_t n) {
  const u8* b = reinterpret_cast<const u8*>(src);
  switch (type) {
    case TensorType::F32:
      if (n > 0) std::memcpy(dst, b, static_cast<std::size_t>(n) * sizeof(float));
      return;
    case TensorType::F16:
      for (std::int64_t i = 0; i < n; ++i) dst[i] = half_at(b + 2 * i);
      return;
    case TensorType::BF16:
      for (std::int64_t i = 0; i < n; ++i) dst[i] = float_from_bfloat(static_cast<std::uint16_t>(u16_at(b + 2 * i)));
      return;
    case TensorType::Q4_0:
      return decode_blocks<32, 18, decode_q4_0>(b, dst, n);
    case TensorType::Q4_1:
      return decode_blocks<32, 20, decode_q4_1>(b, dst, n);
    case TensorType::Q5_0:
      return decode_blocks<32, 22, decode_q5_0>(b, dst, n);
    case TensorType::Q5_1:
      return decode_blocks<32, 24, decode_q5_1>(b, dst, n);
    case TensorType::Q8_0:
      return decode_blocks<32, 34, decode_q8_0>(b, dst, n);
    case TensorType::Q2_K:
      return decode_blocks<256, 84, decode_q2_k>(b, dst, n);
    case TensorType::Q3_K:
      return decode_blocks<256, 110, decode_q3_k>(b, dst, n);
    case TensorType::Q4_K:
      return decode_blocks<256, 144, decode_q4_k>(b, dst, n);
    case TensorType::Q5_K:
      return decode_blocks<256, 176, decode_q5_k>(b, dst, n);
    case TensorType::Q6_K:
      return decode_blocks<256, 210, decode_q6_k>(b, dst, n);
    case TensorType::IQ2_XXS:
      return decode_blocks<256, 66, decode_iq2_xxs>(b, dst, n);
    case TensorType::IQ2_XS:
      return decode_blocks<256, 74, decode_iq2_xs>(b, dst, n);
    case TensorType::IQ2_S:
      return decode_blocks<256, 82, decode_iq2_s>(b, dst, n);
    case TensorType::IQ3_XXS:
      return decode_blocks<256, 98, decode_iq3_xxs>(b, dst, n);
    case TensorType::IQ3_S:
      return decode_blocks<256, 110, decode_iq3_s>(b, dst, n);
    case TensorType::IQ1_S:
      return decode_blocks<256, 50, decode_iq1_s>(b, dst, n);
    case TensorType::IQ1_M:
      return decode_blocks<256, 56, decode_iq1_m>(b, dst, n);
    case TensorType::IQ4_NL:
      return decode_blocks<32, 18, decode_iq4_nl>(b, dst, n);
    case TensorType::IQ4_XS:
      return decode_blocks<256, 136, decode_iq4_xs>(b, dst, n);
    case TensorType::TQ1_0:
      return decode_blocks<256, 54, decode_tq1_0>(b, dst, n);
    case TensorType::TQ2_0:
      return decode_blocks<256, 66, decode_tq2_0>(b, dst, n);
    case TensorType::MXFP4:
      return decode_blocks<32, 17, decode_mxfp4>(b, dst, n);
    case TensorType::NVFP4:
      return decode_blocks<64, 36, decode_nvfp4>(b, dst, n);
    case TensorType::Q1_0:
      return decode_blocks<128, 18, decode_q1_0>(b, dst, n);
    case TensorType::Q2_0:
      return decode_blocks<64, 18, decode_q2_0>(b, dst, n);
    case TensorType::I8:
      return decode_numbers<std::int8_t>(b, dst, n);
    case TensorType::I16:
      return decode_numbers<std::int16_t>(b, dst, n);
    case TensorType::I32:
      return decode_numbers<std::int32_t>(b, dst, n);
    case TensorType::I64:
      return decode_numbers<std::int64_t>(b, dst, n);
    case TensorType::F64:
      return decode_numbers<double>(b, dst, n);
  }
}

}  // namespace llm::kernels
