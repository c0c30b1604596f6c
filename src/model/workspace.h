#ifndef MODEL_WORKSPACE_H
#define MODEL_WORKSPACE_H

#include <algorithm>
#include <cstddef>

#include "base/arena.h"
#include "ops/ops.h"

namespace llm::model {

// Hands out parts of the step's arena, and says how much is needed: a block takes its buffers by the same calls when
// the arena is planned (no memory yet, largest step) and in every step. Every worker has its own copy and comes to the
// same addresses.
class Workspace {
 public:
  Workspace(std::byte* base, const kernels::KernelTable& k, int n_workers)
      : base_(base), k_(&k), n_workers_(n_workers) {}

  std::byte* bytes(std::size_t count) {
    std::byte* at = base_ != nullptr ? base_ + at_ : nullptr;
    at_ += (count + arena_alignment - 1) / arena_alignment * arena_alignment;
    high_ = std::max(high_, at_);
    return at;
  }
  ops::Rows rows(std::int64_t n_rows, std::int64_t n_cols) {
    float* data = reinterpret_cast<float*>(bytes(static_cast<std::size_t>(n_rows * n_cols) * sizeof(float)));
    return {data, n_rows, n_cols, n_cols};
  }
  ops::PackBuffer pack(std::int64_t n_rows, std::int64_t n_cols) {
    const std::size_t count = ops::pack_buffer_bytes(*k_, n_rows, n_cols, n_workers_);
    return {bytes(count), count};
  }

  // What is taken after mark() may be taken again after release().
  std::size_t mark() const { return at_; }
  void release(std::size_t mark) { at_ = mark; }
  std::size_t high() const { return high_; }
  const kernels::KernelTable& kernels() const { return *k_; }

 private:
  std::byte* base_;
  const kernels::KernelTable* k_;
  int n_workers_;
  std::size_t at_ = 0;
  std::size_t high_ = 0;
};

}  // namespace llm::model

#endif
