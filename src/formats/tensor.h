#ifndef FORMATS_TENSOR_H
#define FORMATS_TENSOR_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/tensor_type.h"

namespace llm::formats {

// A named tensor inside a mapped file; never owns. Checked to lie inside the file before anyone may read it.
struct TensorView {
  std::string_view name;
  TensorType type = TensorType::F32;
  int n_dims = 0;
  // Extents with the fastest first (GGUF order): a matrix of n_out rows of n_in numbers is {n_in, n_out, 1, 1}.
  std::array<std::int64_t, 4> extent = {1, 1, 1, 1};
  const std::byte* data = nullptr;
  std::uint64_t n_bytes = 0;

  std::int64_t n_elements() const { return extent[0] * extent[1] * extent[2] * extent[3]; }
};

}  // namespace llm::formats

#endif
