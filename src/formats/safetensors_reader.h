#ifndef FORMATS_SAFETENSORS_READER_H
#define FORMATS_SAFETENSORS_READER_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor.h"

namespace llm::formats {

// One safetensors file: u64 header length, a JSON header, then the data of all tensors end to end.
struct SafetensorsPart {
  std::deque<std::string> names;    // the tensors' names point here
  std::vector<TensorView> tensors;  // data points into the bytes it was read from and may be unaligned
};

bool looks_like_safetensors(std::span<const std::byte> bytes);

// Reads and checks the header: its length, every type, shape and range, and that the ranges fill the file without gap
// or overlap. U8 and BOOL become I8, U16, U32 and U64 the signed type of that width: the bits are the same. Dimensions
// beyond four are merged into the slowest. Tensor data is not touched. Throws Error(model); `file` is its name in
// messages.
SafetensorsPart parse_safetensors(std::span<const std::byte> bytes, const std::string& file);

}  // namespace llm::formats

#endif
