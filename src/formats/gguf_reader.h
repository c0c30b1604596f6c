#ifndef FORMATS_GGUF_READER_H
#define FORMATS_GGUF_READER_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/mapped_weights.h"
#include "formats/metadata.h"
#include "formats/tensor.h"

namespace llm::formats {

// One GGUF file. Views point into the bytes it was read from.
struct GgufPart {
  std::uint32_t version = 0;
  std::uint64_t alignment = 0;
  std::uint64_t data_offset = 0;  // of the data section, from the start of the file
  Metadata metadata;
  std::vector<TensorView> tensors;  // in the file's order
};

// Tensor names are shorter than 64 bytes.
inline constexpr std::uint64_t max_gguf_tensor_name_bytes = 63;

bool has_gguf_magic(std::span<const std::byte> bytes);

// Reads the header of GGUF version 2 or 3 and checks all of it: counts and lengths against the bytes left, names
// unique, types known, extents, offsets aligned, inside the file and disjoint. Tensor data is not touched.
// Throws Error(model); `file` is its name in messages.
GgufPart parse_gguf(std::span<const std::byte> bytes, const std::string& file);

// A GGUF file with all its parts, if it is the first of a split model.
WeightsContents read_gguf(MappedFile first);

}  // namespace llm::formats

#endif
