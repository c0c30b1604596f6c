#include "kernels/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "kernels/decode.h"
#include "kernels/kernels.h"
#include "sanitized.h"

namespace llm::kernels {
namespace {

// The fixed weight sets of the quantiser table: n_rows x n_cols numbers from splitmix64 words.
constexpr int n_rows = 256;
constexpr int n_cols = 1024;
constexpr int n_weights = n_rows * n_cols;

// Doubles in (0, 1).
std::vector<double> uniform(std::uint64_t seed, std::uint64_t stream) {
  std::vector<double> values(n_weights);
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    std::uint64_t z = seed + ((stream << 40) + i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    values[i] = static_cast<double>(z >> 11) * 0x1p-53 + 0x1p-54;
  }
  return values;
}

std::vector<double> normal(std::uint64_t seed) {
  const std::vector<double> u = uniform(seed, 0);
  const std::vector<double> v = uniform(seed, 1);
  std::vector<double> values(n_weights);
  for (int i = 0; i < n_weights; ++i) values[i] = std::sqrt(-2 * std::log(u[i])) * std::cos(2 * M_PI * v[i]);
  return values;
}

std::map<std::string, std::vector<float>> weight_sets() {
  std::map<std::string, std::vector<float>> sets;
  const std::vector<double> plain = normal(1001);
  const std::vector<double> for_student = normal(1002);
  const std::vector<double> for_outliers = normal(1003);
  const std::vector<double> chi_a = uniform(1002, 10);
  const std::vector<double> chi_b = uniform(1002, 11);
  for (int i = 0; i < n_weights; ++i) {
    sets["normal"].push_back(static_cast<float>(0.02 * plain[i]));
    const double chi = -2 * (std::log(chi_a[i]) + std::log(chi_b[i]));
    sets["student4"].push_back(static_cast<float>(0.02 * for_student[i] / std::sqrt(chi / 4)));
    sets["outlier"].push_back(static_cast<float>(0.02 * for_outliers[i] * (i % n_cols % 64 == 0 ? 12 : 1)));
  }
  return sets;
}

double relative_rms_error(const KernelTable& table, const TensorTypeInfo& info, const std::vector<float>& weights) {
  const std::int64_t n = static_cast<std::int64_t>(weights.size());
  std::vector<std::byte> bytes(tensor_row_bytes(info.type, weights.size()));
  EXPECT_TRUE(table.encode_row(info.type, weights.data(), bytes.data(), n));
  std::vector<float> back(weights.size());
  decode_row(info.type, bytes.data(), back.data(), n);
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double difference = static_cast<double>(back[i]) - weights[i];
    error += difference * difference;
    size += static_cast<double>(weights[i]) * weights[i];
  }
  return std::sqrt(error / size);
}

// Types whose codes are points of a grid: slow to encode, and not every block has a near point.
bool is_grid_type(TensorType type) {
  switch (type) {
    case TensorType::IQ1_S:
    case TensorType::IQ1_M:
    case TensorType::IQ2_XXS:
    case TensorType::IQ2_XS:
    case TensorType::IQ2_S:
    case TensorType::IQ3_XXS:
    case TensorType::IQ3_S:
      return true;
    default:
      return false;
  }
}

TEST(Quantize, LosesNoMoreThanTheReferenceQuantisers) {
  std::ifstream file(std::string(LLM_TEST_DATA) + "/quants/quantisers.json");
  const auto reference = nlohmann::json::parse(file);
  const auto sets = weight_sets();
  const KernelTable& best = *available_kernels().front();
  for (const KernelTable* table : available_kernels()) {
    int n_types = 0;
    for (const TensorTypeInfo& info : tensor_type_infos) {
      const std::string type(info.name);
      if (!reference.contains(type)) continue;
      ASSERT_TRUE(table->encode_row(info.type, nullptr, nullptr, 0)) << type;
      ++n_types;
      for (const auto& [name, weights] : sets) {
        if (is_grid_type(info.type) && (table != &best || test::is_sanitized)) {
          // A few rows, against the same rows of the best set.
          const std::vector<float> rows(weights.begin(), weights.begin() + 8 * n_cols);
          EXPECT_NEAR(relative_rms_error(*table, info, rows), relative_rms_error(best, info, rows), 1e-3)
              << table->name << " " << type << " " << name;
          continue;
        }
        // The figures are given to compare within 1e-6.
        EXPECT_LE(relative_rms_error(*table, info, weights), reference.at(type).at(name).get<double>() + 1e-6)
            << table->name << " " << type << " " << name;
      }
    }
    EXPECT_EQ(n_types, 27) << table->name;
  }
}

TEST(Quantize, KeepsZerosAndBlocksOfOneValue) {
  std::vector<float> zeros(512, 0.0f);
  for (const KernelTable* table : available_kernels()) {
    for (const TensorTypeInfo& info : tensor_type_infos) {
      if (!table->encode_row(info.type, nullptr, nullptr, 0)) continue;
      const double limit = is_grid_type(info.type) ? 0.35 : 1e-3;
      EXPECT_LT(relative_rms_error(*table, info, std::vector<float>(512, 0.5f)), limit)
          << table->name << " " << info.name;
      std::vector<std::byte> bytes(tensor_row_bytes(info.type, zeros.size()));
      table->encode_row(info.type, zeros.data(), bytes.data(), 512);
      std::vector<float> back(512, NAN);
      decode_row(info.type, bytes.data(), back.data(), 512);
      for (const float value : back) ASSERT_EQ(value, 0.0f) << table->name << " " << info.name;
    }
  }
}

TEST(Quantize, TernaryWeightsComeBackUnchanged) {
  std::mt19937 random(7);
  std::vector<float> weights(1024);
  for (float& w : weights) w = 0.25f * static_cast<float>(static_cast<int>(random() % 3) - 1);
  for (const KernelTable* table : available_kernels()) {
    for (const TensorType type : {TensorType::TQ1_0, TensorType::TQ2_0, TensorType::Q2_0}) {
      EXPECT_EQ(relative_rms_error(*table, tensor_type_info(type), weights), 0.0) << table->name;
    }
  }
}

}  // namespace
}  // namespace llm::kernels
