#ifndef MODEL_BOUND_TENSOR_H
#define MODEL_BOUND_TENSOR_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_type.h"
#include "ops/rope.h"

namespace llm::model {

// One tensor under the project's name (that of GGUF files) as a binding read it: what a writer of another container
// needs. Rows are those of the last dimension; of vectors the single numbers.
struct BoundTensor {
  std::string scope;                // "blk.3." or "", of the stack
  std::string name;                 // canonical, with ".weight" or ".bias"
  std::vector<std::int64_t> shape;  // slowest first
  TensorType type = TensorType::F32;
  // Row r of the tensor as it is stored, as type says.
  std::function<void(std::int64_t row, std::byte* out)> row;
  // Row i as the forward pass reads it is row order[i] of the tensor; empty: they are the same.
  std::vector<std::int64_t> order = {};

  // Rows that are entries of heads and get rotated: row h * head_dim + i is entry i of head h.
  struct Rotated {
    int n_head = 0, head_dim = 0;
    int dims = 0;  // 0: not rotated here
    ops::RopePairing pairing = ops::RopePairing::halves;
  } rotated = {};

  std::int64_t row_elements() const { return shape.size() == 1 ? 1 : shape.back(); }
  std::int64_t n_rows() const {
    std::int64_t n = 1;
    for (const std::int64_t extent : shape) n *= extent;
    return n / row_elements();
  }
};

}  // namespace llm::model

#endif
