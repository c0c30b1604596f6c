#include "sampling/passes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

// The loops below contain no intrinsics; the compiler makes one copy per instruction set and the loader picks one.
// Every copy adds in the same order and without fused operations, so all give the same bits.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LLM_PASS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LLM_PASS
#endif

namespace llm::sampling {
namespace {

constexpr std::size_t n_lanes = 16;
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
// Lanes are floats for 32 additions, then move into doubles: the sum stays good to about 1e-7.
constexpr int blocks_per_flush = 8;
using Lanes = std::array<float, n_lanes>;

// exp(x) for x <= 0, relative error below 2e-7; below -87 it gives exp(-87). Cody-Waite reduction, Taylor polynomial.
[[gnu::always_inline]] inline float exp_nonpositive(float x) {
  x = x < -87.0f ? -87.0f : x;
  constexpr float round_to_integer = 12582912.0f;  // 1.5 * 2^23: adding it leaves the integer in the low bits
  const float shifted = x * 1.44269504f + round_to_integer;
  const float n = shifted - round_to_integer;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + exponent);
}

double sum_of(const Lanes& lanes) {
  double sum = 0;
  for (float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

LLM_PASS bool scan_full_blocks(const float* logits, std::size_t n_blocks, float* block_max) {
  std::array<std::int32_t, n_lanes> bad{};
  for (std::size_t b = 0; b < n_blocks; ++b) {
    const float* x = logits + b * block_size;
    Lanes best;
    for (std::size_t j = 0; j < n_lanes; ++j) best[j] = x[j];
    for (std::size_t i = 0; i < block_size; i += n_lanes) {
      for (std::size_t j = 0; j < n_lanes; ++j) {
        const float v = x[i + j];
        best[j] = v > best[j] ? v : best[j];
        bad[j] |= (std::bit_cast<std::int32_t>(v) & 0x7fffffff) > 0x7f7fffff ? -1 : 0;
      }
    }
    for (std::size_t width = n_lanes / 2; width > 0; width /= 2) {
      for (std::size_t j = 0; j < width; ++j) best[j] = best[j + width] > best[j] ? best[j + width] : best[j];
    }
    block_max[b] = best[0];
  }
  std::int32_t any = 0;
  for (std::int32_t b : bad) any |= b;
  return any == 0;
}

LLM_PASS void add_weights(const float* x, float floor, float max, float scale, Lanes& weight, Lanes& weighted,
                          Lanes& count) {
  for (std::size_t i = 0; i < block_size; i += n_lanes) {
    for (std::size_t j = 0; j < n_lanes; ++j) {
      const float v = x[i + j];
      const float shifted = std::max((v - max) * scale, -87.0f);
      const float present = v >= floor ? 1.0f : 0.0f;
      const float e = exp_nonpositive(shifted) * present;
      weight[j] += e;
      weighted[j] += e * shifted;
      count[j] += present;
    }
  }
}

LLM_PASS void add_squares(const float* x, float floor, float max, Lanes& sum, Lanes& squares, Lanes& count) {
  for (std::size_t i = 0; i < block_size; i += n_lanes) {
    for (std::size_t j = 0; j < n_lanes; ++j) {
      const float v = x[i + j];
      const float d = v >= floor ? v - max : 0.0f;
      sum[j] += d;
      squares[j] += d * d;
      count[j] += v >= floor ? 1.0f : 0.0f;
    }
  }
}

// Calls visit(pointer to 64 logits) for every block that holds something at or above floor; the last, shorter block is
// padded with -infinity.
template <typename Visit>
void for_each_block(std::span<const float> logits, std::span<const float> block_max, float floor, const Visit& visit) {
  for (std::size_t b = 0; b < block_max.size(); ++b) {
    if (!(block_max[b] >= floor)) continue;
    const std::size_t begin = b * block_size;
    if (begin + block_size <= logits.size()) {
      visit(logits.data() + begin);
    } else {
      std::array<float, block_size> padded;
      padded.fill(minus_infinity);
      std::copy(logits.begin() + static_cast<std::ptrdiff_t>(begin), logits.end(), padded.begin());
      visit(padded.data());
    }
  }
}

// -infinity stands for "every logit that is there".
float finite_floor(float floor) {
  return std::max(floor, std::numeric_limits<float>::lowest());
}

}  // namespace

bool scan_blocks(std::span<const float> logits, std::span<float> block_max) {
  const std::size_t n_full = logits.size() / block_size;
  bool finite = scan_full_blocks(logits.data(), n_full, block_max.data());
  if (n_full < block_max.size()) {
    const std::span<const float> rest = logits.subspan(n_full * block_size);
    block_max[n_full] = max_of_block(rest);
    for (float v : rest) finite = finite && std::isfinite(v);
  }
  return finite;
}

float max_of_block(std::span<const float> block) {
  float best = minus_infinity;
  for (float v : block) best = v > best ? v : best;
  return best;
}

SoftmaxSums softmax_sums(std::span<const float> logits, std::span<const float> block_max, float floor, float max,
                         float scale) {
  SoftmaxSums sums;
  Lanes weight{}, weighted{}, count{};
  const auto flush = [&] {
    sums.weight += sum_of(weight);
    sums.weighted += sum_of(weighted);
    sums.n += static_cast<std::int64_t>(sum_of(count));
    weight = weighted = count = {};
  };
  int n_blocks = 0;
  for_each_block(logits, block_max, finite_floor(floor), [&](const float* x) {
    add_weights(x, finite_floor(floor), max, scale, weight, weighted, count);
    if (++n_blocks % blocks_per_flush == 0) flush();
  });
  flush();
  return sums;
}

Spread spread(std::span<const float> logits, std::span<const float> block_max, float floor, float max) {
  double sum = 0, squares = 0, n = 0;
  Lanes s{}, q{}, c{};
  const auto flush = [&] {
    sum += sum_of(s);
    squares += sum_of(q);
    n += sum_of(c);
    s = q = c = {};
  };
  int n_blocks = 0;
  for_each_block(logits, block_max, finite_floor(floor), [&](const float* x) {
    add_squares(x, finite_floor(floor), max, s, q, c);
    if (++n_blocks % blocks_per_flush == 0) flush();
  });
  flush();
  if (n == 0) return {};
  const double mean = sum / n;
  return {mean + static_cast<double>(max), std::max(0.0, squares / n - mean * mean)};
}

}  // namespace llm::sampling
