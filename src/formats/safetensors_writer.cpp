#include "formats/safetensors_writer.h"

#include <fmt/format.h>

#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/checked.h"
#include "formats/quote.h"

namespace llm::formats {
namespace {

constexpr std::size_t header_alignment = 8;

std::string_view dtype_name(const SafetensorsEntry& entry) {
  switch (entry.type) {
    case TensorType::F32:
    case TensorType::F16:
    case TensorType::BF16:
    case TensorType::F64:
    case TensorType::I8:
    case TensorType::I16:
    case TensorType::I32:
    case TensorType::I64:
      return tensor_type_info(entry.type).name;
    default:
      break;
  }
  throw Error(ErrorCode::usage, fmt::format("tensor {}: type {} is not one of the safetensors format",
                                            quote(entry.name), tensor_type_info(entry.type).name));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::span<const SafetensorsEntry> entries) : file_(path) {
  nlohmann::json header = nlohmann::json::object();
  for (const SafetensorsEntry& entry : entries) {
    const std::string_view dtype = dtype_name(entry);
    std::optional<std::uint64_t> n_bytes = tensor_type_info(entry.type).block_bytes;
    for (const std::int64_t extent : entry.shape) {
      n_bytes = extent < 0 || !n_bytes ? std::nullopt : checked_mul(*n_bytes, static_cast<std::uint64_t>(extent));
    }
    const std::optional<std::uint64_t> end = n_bytes ? checked_add(n_missing_, *n_bytes) : std::nullopt;
    if (!end) throw Error(ErrorCode::usage, fmt::format("tensor {}: impossible shape", quote(entry.name)));
    if (header.contains(entry.name)) {
      throw Error(ErrorCode::usage, fmt::format("tensor {} stands twice", quote(entry.name)));
    }
    header[entry.name] = {{"dtype", dtype}, {"shape", entry.shape}, {"data_offsets", {n_missing_, *end}}};
    n_missing_ = *end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.resize((text.size() + header_alignment - 1) / header_alignment * header_alignment, ' ');
  const std::uint64_t n_header = text.size();
  file_.write(std::as_bytes(std::span(&n_header, 1)));
  file_.write(std::as_bytes(std::span(text)));
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > n_missing_) throw Error(ErrorCode::internal, "safetensors writer: more data than announced");
  n_missing_ -= bytes.size();
  file_.write(bytes);
}

void SafetensorsWriter::finish() {
  if (n_missing_ != 0) {
    throw Error(ErrorCode::internal, fmt::format("safetensors writer: {} bytes of data are missing", n_missing_));
  }
  file_.commit();
}

}  // namespace llm::formats
