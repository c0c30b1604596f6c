#ifndef FORMATS_GGUF_WRITER_H
#define FORMATS_GGUF_WRITER_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/tensor_type.h"
#include "formats/metadata.h"

namespace llm::formats {

// What stands before the data: metadata in the order they were first set, and the tensors.
class GgufHeader {
 public:
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<std::int64_t> extent;  // fastest first, 1 to 4
    std::uint64_t n_bytes;
    std::uint64_t offset;  // from the start of the data section
  };

  // Setting a key again replaces its value.
  void set_bool(std::string_view key, bool value);
  void set_u16(std::string_view key, std::uint16_t value);
  void set_u32(std::string_view key, std::uint32_t value);
  void set_i32(std::string_view key, std::int32_t value);
  void set_f32(std::string_view key, float value);
  void set_string(std::string_view key, std::string_view value);
  void set_u32s(std::string_view key, std::span<const std::uint32_t> values);
  void set_i32s(std::string_view key, std::span<const std::int32_t> values);
  void set_i8s(std::string_view key, std::span<const std::byte> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  void set_bools(std::string_view key, const std::vector<bool>& values);
  void set_strings(std::string_view key, std::span<const std::string> values);
  // A value as it was read, whatever its type.
  void set(std::string_view key, const Metadata::Entry& entry);
  void copy_from(const Metadata& metadata);

  // Data will be written in this order. Error(usage) if the name is taken or no GGUF name, or the extents are no whole
  // blocks.
  void add_tensor(std::string_view name, TensorType type, std::span<const std::int64_t> extent);

  const std::vector<Tensor>& tensors() const { return tensors_; }
  static constexpr std::uint64_t alignment = 32;  // of files that do not say otherwise
  // All bytes before the data section, padding included.
  std::vector<std::byte> encode() const;
  std::uint64_t data_bytes() const { return data_bytes_; }

 private:
  struct Pair {
    std::string key;
    ValueType type;
    std::string bytes;  // of the value
  };
  void set_bytes(std::string_view key, ValueType type, std::string bytes);

  std::vector<Pair> pairs_;
  std::vector<Tensor> tensors_;
  std::uint64_t data_bytes_ = 0;
};

// Writes a GGUF file of version 3 in one pass; it appears under its name when finished.
class GgufWriter {
 public:
  // Writes the header. Error(io).
  GgufWriter(const std::string& path, GgufHeader header);

  // The next bytes of the tensors' data, in the header's order; a piece may not reach beyond its tensor.
  void write(std::span<const std::byte> bytes);
  // Error(internal) if data are missing.
  void finish();

 private:
  GgufHeader header_;
  AtomicFile file_;
  std::size_t current_ = 0;          // tensor
  std::uint64_t current_bytes_ = 0;  // of it, written
};

}  // namespace llm::formats

#endif
