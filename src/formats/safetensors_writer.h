#ifndef FORMATS_SAFETENSORS_WRITER_H
#define FORMATS_SAFETENSORS_WRITER_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/tensor_type.h"

namespace llm::formats {

struct SafetensorsEntry {
  std::string name;
  TensorType type = TensorType::F32;  // one of the unquantised types
  std::vector<std::int64_t> shape;    // slowest first, as the format has it
};

// Writes a safetensors file in one pass; it appears under its name when finished.
class SafetensorsWriter {
 public:
  // Writes the header. Error(usage) if a type has no name in the format, Error(io).
  SafetensorsWriter(const std::string& path, std::span<const SafetensorsEntry> entries);

  // The next bytes of the tensors' data, in the order of the entries.
  void write(std::span<const std::byte> bytes);
  // Error(internal) unless exactly the announced bytes were written.
  void finish();

 private:
  AtomicFile file_;
  std::uint64_t n_missing_ = 0;  // bytes
};

}  // namespace llm::formats

#endif
