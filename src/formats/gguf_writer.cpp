#include "formats/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <llm/error.hpp>
#include <utility>

#include "base/checked.h"
#include "formats/gguf_reader.h"
#include "formats/quote.h"

namespace llm::formats {
namespace {

constexpr std::uint32_t version = 3;

template <typename T>
void append(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void append_string(std::string& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  out.append(text);
}

template <typename T>
std::string bytes_of(T value) {
  std::string out;
  append(out, value);
  return out;
}

std::string array_head(ValueType item_type, std::uint64_t count) {
  std::string out;
  append(out, static_cast<std::uint32_t>(item_type));
  append(out, count);
  return out;
}

template <typename T>
std::string array_of(ValueType item_type, std::span<const T> values) {
  std::string out = array_head(item_type, values.size());
  out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return out;
}

std::uint64_t unsigned_of(const Value& value) {
  if (const auto* n = std::get_if<std::uint64_t>(&value)) return *n;
  return static_cast<std::uint64_t>(std::get<std::int64_t>(value));
}

}  // namespace

void GgufHeader::set_bytes(std::string_view key, ValueType type, std::string bytes) {
  const auto found = std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& pair) { return pair.key == key; });
  if (found != pairs_.end()) {
    found->type = type;
    found->bytes = std::move(bytes);
  } else {
    pairs_.push_back({std::string(key), type, std::move(bytes)});
  }
}

void GgufHeader::set_bool(std::string_view key, bool value) {
  set_bytes(key, ValueType::boolean, bytes_of(std::uint8_t{value}));
}
void GgufHeader::set_u16(std::string_view key, std::uint16_t value) {
  set_bytes(key, ValueType::u16, bytes_of(value));
}
void GgufHeader::set_u32(std::string_view key, std::uint32_t value) {
  set_bytes(key, ValueType::u32, bytes_of(value));
}
void GgufHeader::set_i32(std::string_view key, std::int32_t value) {
  set_bytes(key, ValueType::i32, bytes_of(value));
}
void GgufHeader::set_f32(std::string_view key, float value) {
  set_bytes(key, ValueType::f32, bytes_of(value));
}

void GgufHeader::set_string(std::string_view key, std::string_view value) {
  std::string bytes;
  append_string(bytes, value);
  set_bytes(key, ValueType::string, std::move(bytes));
}

void GgufHeader::set_u32s(std::string_view key, std::span<const std::uint32_t> values) {
  set_bytes(key, ValueType::array, array_of(ValueType::u32, values));
}
void GgufHeader::set_i32s(std::string_view key, std::span<const std::int32_t> values) {
  set_bytes(key, ValueType::array, array_of(ValueType::i32, values));
}
void GgufHeader::set_i8s(std::string_view key, std::span<const std::byte> values) {
  set_bytes(key, ValueType::array, array_of(ValueType::i8, values));
}
void GgufHeader::set_f32s(std::string_view key, std::span<const float> values) {
  set_bytes(key, ValueType::array, array_of(ValueType::f32, values));
}

void GgufHeader::set_bools(std::string_view key, const std::vector<bool>& values) {
  std::string bytes = array_head(ValueType::boolean, values.size());
  for (const bool value : values) append(bytes, std::uint8_t{value});
  set_bytes(key, ValueType::array, std::move(bytes));
}

void GgufHeader::set_strings(std::string_view key, std::span<const std::string> values) {
  std::string bytes = array_head(ValueType::string, values.size());
  for (const std::string& value : values) append_string(bytes, value);
  set_bytes(key, ValueType::array, std::move(bytes));
}

void GgufHeader::set(std::string_view key, const Metadata::Entry& entry) {
  std::string bytes;
  switch (entry.type) {
    case ValueType::u8:
    case ValueType::i8:
      append(bytes, static_cast<std::uint8_t>(unsigned_of(entry.value)));
      break;
    case ValueType::u16:
    case ValueType::i16:
      append(bytes, static_cast<std::uint16_t>(unsigned_of(entry.value)));
      break;
    case ValueType::u32:
    case ValueType::i32:
      append(bytes, static_cast<std::uint32_t>(unsigned_of(entry.value)));
      break;
    case ValueType::u64:
    case ValueType::i64:
      append(bytes, unsigned_of(entry.value));
      break;
    case ValueType::f32:
      append(bytes, static_cast<float>(std::get<double>(entry.value)));
      break;
    case ValueType::f64:
      append(bytes, std::get<double>(entry.value));
      break;
    case ValueType::boolean:
      append(bytes, std::uint8_t{std::get<bool>(entry.value)});
      break;
    case ValueType::string:
      append_string(bytes, std::get<std::string_view>(entry.value));
      break;
    case ValueType::array: {
      const auto& array = std::get<ArrayView>(entry.value);
      bytes = array_head(array.item_type, array.count);
      bytes.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
      break;
    }
  }
  set_bytes(key, entry.type, std::move(bytes));
}

void GgufHeader::copy_from(const Metadata& metadata) {
  for (const auto& [key, entry] : metadata.entries()) set(key, entry);
}

void GgufHeader::add_tensor(std::string_view name, TensorType type, std::span<const std::int64_t> extent) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::usage, fmt::format("tensor {}: {}", quote(name), what));
  };
  if (name.empty() || name.size() > max_gguf_tensor_name_bytes) {
    fail(fmt::format("a name of {} bytes, expected 1 to {} in a GGUF file", name.size(), max_gguf_tensor_name_bytes));
  }
  if (extent.empty() || extent.size() > 4) fail(fmt::format("{} dimensions, expected 1 to 4", extent.size()));
  const TensorTypeInfo& info = tensor_type_info(type);
  if (extent[0] % info.block_elements != 0) {
    fail(fmt::format("rows of {} elements, expected a multiple of {} for type {}", extent[0], info.block_elements,
                     info.name));
  }
  std::optional<std::uint64_t> n_bytes = tensor_row_bytes(type, static_cast<std::uint64_t>(extent[0]));
  for (std::size_t d = 0; d < extent.size() && n_bytes; ++d) {
    if (extent[d] < 1) fail(fmt::format("dimension {} is {}, expected at least 1", d, extent[d]));
    if (d > 0) n_bytes = checked_mul(*n_bytes, static_cast<std::uint64_t>(extent[d]));
  }
  const std::optional<std::uint64_t> end = n_bytes ? checked_add(data_bytes_, *n_bytes) : std::nullopt;
  const std::optional<std::uint64_t> next = end ? checked_align_up(*end, alignment) : std::nullopt;
  if (!next) fail("its data end beyond 2^64 bytes");
  tensors_.push_back({std::string(name), type, {extent.begin(), extent.end()}, *n_bytes, data_bytes_});
  data_bytes_ = *next;
}

std::vector<std::byte> GgufHeader::encode() const {
  std::vector<std::string_view> names;
  names.reserve(tensors_.size());
  for (const Tensor& tensor : tensors_) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin != names.end()) throw Error(ErrorCode::usage, fmt::format("tensor {} stands twice", quote(*twin)));

  std::string out = "GGUF";
  append(out, version);
  append(out, std::uint64_t{tensors_.size()});
  append(out, std::uint64_t{pairs_.size()});
  for (const Pair& pair : pairs_) {
    append_string(out, pair.key);
    append(out, static_cast<std::uint32_t>(pair.type));
    out += pair.bytes;
  }
  for (const Tensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<std::uint32_t>(tensor.extent.size()));
    for (const std::int64_t extent : tensor.extent) append(out, extent);
    append(out, static_cast<std::uint32_t>(tensor.type));
    append(out, tensor.offset);
  }
  out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
  const std::span<const std::byte> bytes = std::as_bytes(std::span(out));
  return {bytes.begin(), bytes.end()};
}

GgufWriter::GgufWriter(const std::string& path, GgufHeader header) : header_(std::move(header)), file_(path) {
  file_.write(header_.encode());
}

void GgufWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (current_ == header_.tensors().size())
      throw Error(ErrorCode::internal, "GGUF writer: data beyond the last tensor");
    const GgufHeader::Tensor& tensor = header_.tensors()[current_];
    const std::size_t n =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), tensor.n_bytes - current_bytes_));
    file_.write(bytes.first(n));
    bytes = bytes.subspan(n);
    current_bytes_ += n;
    if (current_bytes_ < tensor.n_bytes) return;
    static constexpr std::array<std::byte, GgufHeader::alignment> zeros = {};
    const std::uint64_t n_padding = *checked_align_up(tensor.n_bytes, GgufHeader::alignment) - tensor.n_bytes;
    file_.write(std::span(zeros).first(static_cast<std::size_t>(n_padding)));
    ++current_;
    current_bytes_ = 0;
  }
}

void GgufWriter::finish() {
  if (current_ != header_.tensors().size()) {
    throw Error(ErrorCode::internal,
                fmt::format("GGUF writer: {} of {} tensors were written", current_, header_.tensors().size()));
  }
  file_.commit();
}

}  // namespace llm::formats
