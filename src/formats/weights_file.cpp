#include "formats/weights_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <llm/error.hpp>

#include "formats/gguf_reader.h"
#include "formats/huggingface_folder.h"
#include "formats/llama2c_reader.h"
#include "formats/mapped_weights.h"
#include "formats/quote.h"
#include "formats/safetensors_reader.h"

namespace llm::formats {
namespace {

// What the first bytes say a file is that we do not read.
std::string_view name_of_foreign_format(std::string_view start) {
  static constexpr struct {
    std::string_view magic;
    std::string_view name;
  } formats[] = {
      {"lmgg", "an unversioned GGML file"},
      {"ggml", "an unversioned GGML file"},
      {"fmgg", "a GGMF file"},
      {"tjgg", "a GGJT file"},
      {"algg", "a GGLA adapter"},
      {"PK\x03\x04", "a PyTorch or zip file"},
      {"\x1f\x8b", "a gzip file"},
      {"\x89HDF", "an HDF5 file"},
  };
  for (const auto& format : formats) {
    if (start.starts_with(format.magic)) return format.name;
  }
  return "";
}

[[noreturn]] void refuse(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.empty()) throw Error(ErrorCode::model, fmt::format("{}: is empty, expected a GGUF file", file.path()));
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 8));
  const std::string_view name = name_of_foreign_format(start);
  throw Error(ErrorCode::model,
              fmt::format("{}: is {}, expected a GGUF file (magic 'GGUF')", file.path(),
                          name.empty() ? fmt::format("no model: it starts with {}", quote(start)) : std::string(name)));
}

}  // namespace

std::unique_ptr<WeightsFile> WeightsFile::open(const std::string& path, const OpenOptions& options) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return make_weights_file(read_huggingface_folder(path), options);
  MappedFile file(path);
  if (has_gguf_magic(file.bytes())) return make_weights_file(read_gguf(std::move(file)), options);
  if (looks_like_safetensors(file.bytes())) {
    // Only the folder says what the tensors mean.
    const fs::path folder = fs::path(path).parent_path();
    if (fs::exists(folder / "config.json", ignored)) {
      return make_weights_file(read_huggingface_folder(folder.empty() ? "." : folder.string()), options);
    }
    throw Error(
        ErrorCode::model,
        fmt::format("{}: a safetensors file without config.json beside it, expected a Hugging Face folder", path));
  }
  if (has_llama2c_magic(file.bytes()) || looks_like_llama2c_v0(file.bytes())) {
    return make_weights_file(read_llama2c(std::move(file)), options);
  }
  refuse(file);
}

}  // namespace llm::formats
