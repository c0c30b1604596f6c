#ifndef OPS_TYPES_H
#define OPS_TYPES_H

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor_type.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "ops/profile.h"

// Operations of a step. All workers of a region call the same operations in the same order with equal arguments
// (SPMD); an operation hands out its work among them and, where it writes memory that others read, ends with a barrier.
// So: what an operation wrote may be read when it returns. Nothing here allocates, locks, or looks at a model.
//
// Results depend on a row's own data only, never on the number of rows, workers, or other sequences.

namespace llm::ops {

// Float rows in memory that all workers see.
struct Rows {
  float* data = nullptr;
  std::int64_t n_rows = 0;
  std::int64_t n_cols = 0;
  std::int64_t stride = 0;  // floats from row to row

  float* row(std::int64_t i) const { return data + i * stride; }
  // Columns [begin, begin + count) of the same rows: one part of a fused projection.
  Rows columns(std::int64_t begin, std::int64_t count) const { return {data + begin, n_rows, count, stride}; }
  Rows first(std::int64_t count) const { return {data, count, n_cols, stride}; }
};

struct LowRank;  // ops/low_rank.h

// n_out rows of n_in weights each, as they lie in the file. No data: the matrix does not exist.
struct WeightMatrix {
  const std::byte* data = nullptr;
  TensorType type = TensorType::F32;
  std::int64_t n_out = 0;
  std::int64_t n_in = 0;
  const LowRank* low_rank = nullptr;  // what adapters add; null: nothing. Products read it, tables do not
  std::int64_t low_rank_row = 0;      // the row of it that belongs to row 0
  bool fine = false;                  // small errors of its products grow: activations are taken more closely

  explicit operator bool() const { return data != nullptr; }
  std::int64_t row_bytes() const {
    return static_cast<std::int64_t>(tensor_row_bytes(type, static_cast<std::uint64_t>(n_in)));
  }
  std::int64_t bytes() const { return n_out * row_bytes(); }
  const std::byte* row(std::int64_t i) const { return data + i * row_bytes(); }
  // Output rows [begin, begin + count): one part of a fused matrix.
  WeightMatrix rows(std::int64_t begin, std::int64_t count) const {
    return {row(begin), type, count, n_in, low_rank, low_rank_row + begin, fine};
  }
};

// What every operation is given.
struct Context {
  const Worker& worker;
  const kernels::KernelTable& k;
  bool exact = false;          // activations are never quantised
  float* low_rank = nullptr;   // memory for A x of adapters: rows of a step times the ranks of a layer
  Profile* profile = nullptr;  // of one worker, if anybody wants to know

  void enter(Part part) const {
    if (profile != nullptr) profile->enter(part);
  }
  kernels::Precision precision(const WeightMatrix& weight) const {
    return exact ? kernels::Precision::exact : weight.fine ? kernels::Precision::fine : kernels::Precision::usual;
  }
  // Every operation calls this first; weight_bytes: what a product reads.
  void enter(Operation operation, std::int64_t weight_bytes = 0) const {
    if (profile != nullptr) profile->enter(operation, static_cast<std::uint64_t>(weight_bytes));
  }
};

// Consecutive rows of one sequence in a step; a step's sequences cover its rows in order.
struct SequenceRows {
  std::int64_t row_begin = 0;
  std::int64_t n_rows = 0;
  std::int64_t position = 0;           // of the first row
  std::int64_t n_keys = 0;             // keys that attention without causal mask sees: positions [0, n_keys)
  std::byte* const* blocks = nullptr;  // attention: block table of the group, see KvLayout
  std::byte* record = nullptr;         // recurrences: the group's record; zeros before position 0
};
using Sequences = std::span<const SequenceRows>;

}  // namespace llm::ops

#endif
