#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/kernels.h"

namespace llm::kernels {
namespace {

constexpr std::uint32_t seed = 7;

std::vector<float> random_row(std::size_t n, float spread = 1, std::uint32_t add = 0) {
  std::mt19937 generator(seed + add);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> row(n);
  for (float& x : row) x = normal(generator);
  return row;
}

double exact(Activation activation, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::silu:
      return x * sigmoid;
    case Activation::gelu_erf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::relu2:
      return x > 0 ? x * x : 0;
    case Activation::sigmoid:
      return sigmoid;
    case Activation::softplus:
      return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    case Activation::tanh:
      return std::tanh(x);
  }
  return 0;
}

constexpr Activation all_activations[] = {
    Activation::none, Activation::silu,  Activation::gelu_erf, Activation::gelu_tanh, Activation::quick_gelu,
    Activation::relu, Activation::relu2, Activation::sigmoid,  Activation::softplus,  Activation::tanh};

// Relative error in units of 2^-24. The rounding of the argument of an exponential costs its size in units.
TEST(Rows, ActivationsAreAccurateOverTheirWholeRange) {
  std::vector<float> x;
  for (double a = 1e-6; a < 100; a *= 1.003) {
    x.push_back(static_cast<float>(a));
    x.push_back(static_cast<float>(-a));
  }
  x.push_back(0);
  for (const KernelTable* k : available_kernels()) {
    for (const Activation activation : all_activations) {
      std::vector<float> y(x.size());
      k->rows.activate(activation, x.data(), static_cast<std::int64_t>(x.size()), y.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double expected = exact(activation, x[i]);
        const double cubic = activation == Activation::gelu_tanh ? std::pow(std::abs(x[i]), 3) / 4 : 0;
        const double square = activation == Activation::gelu_erf ? 1.5 * x[i] * x[i] : 0;
        const double units = 10 + 2 * std::abs(x[i]) + square + cubic;
        ASSERT_NEAR(y[i], expected, units * 0x1p-24 * std::abs(expected) + 1e-36)
            << k->name << ", activation " << static_cast<int>(activation) << " of " << x[i];
      }
    }
  }
}

TEST(Rows, ExponentialIsAccurateAndKeepsItsLimits) {
  for (const KernelTable* k : available_kernels()) {
    for (double x = -86; x < 88; x += 0.0137) {
      const float argument = static_cast<float>(x);
      const double expected = std::exp(static_cast<double>(argument));
      ASSERT_NEAR(k->scans.exp(argument), expected, 4 * 0x1p-24 * expected) << k->name << " e^" << argument;
    }
    EXPECT_EQ(k->scans.exp(0), 1);
    EXPECT_EQ(k->scans.exp(-INFINITY), 0);
    EXPECT_EQ(k->scans.exp(-1000), 0);
    EXPECT_EQ(k->scans.exp(INFINITY), INFINITY);
    EXPECT_TRUE(std::isnan(k->scans.exp(NAN)));
  }
}

// For each kernel, all sizes from none to over two vectors, at addresses off any alignment, writing no further.
TEST(Rows, EverySizeAndAlignmentGivesTheSameElements) {
  const std::vector<float> x = random_row(64);
  const std::vector<float> y = random_row(64, 1, 1);
  const std::vector<float> z = random_row(64, 1, 2);
  using Call = std::function<void(const KernelTable&, const float*, const float*, const float*, std::int64_t, float*)>;
  const GatedTask clipped{Activation::quick_gelu, 0.7f, 0.5f, 0.25f, 1.0f};
  const std::vector<Call> calls = {
      [](const KernelTable& k, const float* a, const float*, const float*, std::int64_t n, float* out) {
        k.rows.activate(Activation::silu, a, n, out);
      },
      [](const KernelTable& k, const float* a, const float* b, const float*, std::int64_t n, float* out) {
        k.rows.gated(GatedTask{}, a, b, n, out);
      },
      [&](const KernelTable& k, const float* a, const float* b, const float*, std::int64_t n, float* out) {
        k.rows.gated(clipped, a, b, n, out);
      },
      [](const KernelTable& k, const float* a, const float* b, const float* c, std::int64_t n, float* out) {
        k.rows.mix(a, b, c, n, out);
      },
      [](const KernelTable& k, const float* a, const float*, const float*, std::int64_t n, float* out) {
        k.rows.clamp(a, -0.5f, 0.25f, n, out);
      },
      [](const KernelTable& k, const float* a, const float*, const float*, std::int64_t n, float* out) {
        k.rows.softcap(a, 0.75f, n, out);
      },
      [](const KernelTable& k, const float* a, const float* b, const float*, std::int64_t n, float* out) {
        std::copy_n(b, n, out);
        k.rows.add(a, 0.3f, n, out);
      }};
  const auto expected = [&](std::size_t which, std::size_t i) -> double {
    const double a = x[i];
    const double b = y[i];
    const double c = z[i];
    switch (which) {
      case 0:
        return exact(Activation::silu, a);
      case 1:
        return exact(Activation::silu, a) * b;
      case 2:
        return exact(Activation::quick_gelu, std::min(static_cast<double>(0.7f) * a, 0.5)) *
               (std::clamp(b, -0.25, 0.25) + 1);
      case 3:
        return c * a + (1 - c) * b;
      case 4:
        return std::clamp(a, -0.5, 0.25);
      case 5:
        return 0.75 * std::tanh(a / 0.75);
      default:
        return b + static_cast<double>(0.3f) * a;
    }
  };
  for (const KernelTable* k : available_kernels()) {
    for (std::size_t which = 0; which < calls.size(); ++which) {
      for (std::int64_t n = 0; n <= 35; ++n) {
        for (const std::int64_t shift : {0, 1, 5}) {
          std::vector<float> out(64, 99.0f);
          calls[which](*k, x.data() + shift, y.data() + shift, z.data() + shift, n, out.data() + shift);
          for (std::int64_t i = 0; i < 64; ++i) {
            const std::size_t at = static_cast<std::size_t>(i);
            if (i < shift || i >= shift + n) {
              ASSERT_EQ(out[at], 99.0f) << k->name << " kernel " << which << " wrote beyond " << n;
            } else {
              const double e = expected(which, at);
              ASSERT_NEAR(out[at], e, 1e-6 * (std::abs(e) + 0.1)) << k->name << " kernel " << which << " size " << n;
            }
          }
        }
      }
    }
  }
}

TEST(Rows, NormsMatchTheirDefinition) {
  for (const KernelTable* k : available_kernels()) {
    for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
      for (const std::size_t n : {1u, 2u, 3u, 7u, 15u, 16u, 17u, 31u, 32u, 33u, 35u, 576u, 1536u}) {
        std::vector<float> x = random_row(n, 3);
        for (float& v : x) v += 2;
        const std::vector<float> w = random_row(n, 1, 1);
        const std::vector<float> b = random_row(n, 1, 2);
        double mean = 0;
        for (const float v : x) mean += v / static_cast<double>(n);
        if (kind == NormKind::rms) mean = 0;
        double square = 0;
        for (const float v : x) square += (v - mean) * (v - mean) / static_cast<double>(n);
        const double eps = static_cast<double>(1e-5f);
        std::vector<float> out(n), plain(n);
        k->rows.norm(kind, x.data(), static_cast<std::int64_t>(n), w.data(), b.data(), 1e-5f, out.data());
        k->rows.norm(kind, x.data(), static_cast<std::int64_t>(n), nullptr, nullptr, 1e-5f, plain.data());
        for (std::size_t i = 0; i < n; ++i) {
          const double e = (x[i] - mean) / std::sqrt(square + eps);
          // A layer norm of one number is rounding error over eps.
          ASSERT_NEAR(plain[i], e, 2e-6 * (1 + std::abs(e))) << k->name << " n " << n;
          ASSERT_NEAR(out[i], e * w[i] + b[i], 4e-6 * (1 + std::abs(e))) << k->name << " n " << n;
        }
      }
    }
  }
}

TEST(Rows, RotationTurnsPairs) {
  for (const KernelTable* k : available_kernels()) {
    for (const bool adjacent : {false, true}) {
      for (const std::size_t n_pairs : {1u, 3u, 8u, 17u, 64u}) {
        const std::vector<float> x = random_row(2 * n_pairs);
        const std::vector<float> angle = random_row(n_pairs, 2, 1);
        std::vector<float> cosines, sines;
        for (const float a : angle) {
          cosines.push_back(std::cos(a));
          sines.push_back(std::sin(a));
        }
        std::vector<float> y = x;
        k->rows.rotate(adjacent, cosines.data(), sines.data(), static_cast<std::int64_t>(n_pairs), y.data());
        for (std::size_t i = 0; i < n_pairs; ++i) {
          const std::size_t first = adjacent ? 2 * i : i;
          const std::size_t second = adjacent ? 2 * i + 1 : i + n_pairs;
          const double c = cosines[i];
          const double s = sines[i];
          ASSERT_NEAR(y[first], x[first] * c - x[second] * s, 1e-6);
          ASSERT_NEAR(y[second], x[second] * c + x[first] * s, 1e-6);
        }
      }
    }
  }
}

}  // namespace
}  // namespace llm::kernels
