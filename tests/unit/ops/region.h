#ifndef TESTS_UNIT_OPS_REGION_H
#define TESTS_UNIT_OPS_REGION_H

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/kernels.h"
#include "ops/ops.h"

namespace llm::ops {

inline constexpr std::size_t test_scratch_bytes = std::size_t{8} << 20;

// Runs f(context) on every worker of a team.
template <typename F>
void run_region(const kernels::KernelTable& k, int n_threads, F f, bool exact = true) {
  Team team(n_threads, test_scratch_bytes);
  team.run([&](const Worker& worker) { f(Context{worker, k, exact}); });
}

// Normal numbers from a fixed seed, which a failing test prints through its name.
inline std::vector<float> random_floats(std::size_t n, std::uint32_t seed, float spread = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(generator);
  return values;
}

// Rows in a vector of their own.
struct OwnedRows {
  std::vector<float> data;
  Rows rows;

  OwnedRows(std::int64_t n_rows, std::int64_t n_cols)
      : data(static_cast<std::size_t>(n_rows * n_cols)), rows{data.data(), n_rows, n_cols, n_cols} {}
  OwnedRows(std::int64_t n_rows, std::int64_t n_cols, std::uint32_t seed, float spread = 1)
      : data(random_floats(static_cast<std::size_t>(n_rows * n_cols), seed, spread)),
        rows{data.data(), n_rows, n_cols, n_cols} {}
  OwnedRows(const OwnedRows&) = delete;
  OwnedRows& operator=(const OwnedRows&) = delete;
  float at(std::int64_t row, std::int64_t col) const { return data[static_cast<std::size_t>(row * rows.n_cols + col)]; }
};

}  // namespace llm::ops

#endif
