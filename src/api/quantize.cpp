#include <fmt/format.h>

#include <algorithm>
#include <llm/files.hpp>
#include <memory>
#include <vector>

#include "api/row_writer.h"
#include "api/weight_recipe.h"
#include "formats/gguf_writer.h"
#include "formats/weights_file.h"
#include "kernels/decode.h"
#include "kernels/quantize.h"

namespace llm {
inline namespace v1 {

namespace {

using formats::GgufHeader;
using formats::GgufWriter;
using formats::TensorView;

constexpr std::int64_t piece_bytes = 16 << 20;

bool is_matrix_to_quantize(const TensorView& tensor) {
  const bool is_float = tensor.type != TensorType::I8 && tensor.type != TensorType::I16 &&
                        tensor.type != TensorType::I32 && tensor.type != TensorType::I64 &&
                        tensor.type != TensorType::F64;
  // Routers, norms and other small tensors decide much and weigh little.
  return is_float && tensor.n_dims >= 2 && tensor.extent[1] > 1 &&
         tensor.name.find("_norm") == std::string_view::npos &&
         tensor.name.find("ffn_gate_inp") == std::string_view::npos &&
         tensor.name.find("ssm_conv1d") == std::string_view::npos && tensor.name.ends_with("weight");
}

using OnBytes = std::function<void(std::uint64_t)>;

void copy_tensor(GgufWriter& writer, const TensorView& tensor, const OnBytes& on_bytes) {
  for (std::uint64_t done = 0; done < tensor.n_bytes;) {
    const std::uint64_t n = std::min<std::uint64_t>(piece_bytes, tensor.n_bytes - done);
    writer.write({tensor.data + done, n});
    done += n;
    on_bytes(n);
  }
}

// Rows of one tensor, decoded and encoded.
void convert_tensor(api::RowWriter& rows, const TensorView& tensor, TensorType type, const OnBytes& on_bytes) {
  const std::int64_t n_cols = tensor.extent[0];
  const std::uint64_t in_bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(n_cols));
  const std::uint64_t out_bytes = tensor_row_bytes(type, static_cast<std::uint64_t>(n_cols));
  const auto make = [&](std::int64_t row, std::span<std::byte> scratch, std::byte* out) {
    float* const x = reinterpret_cast<float*>(scratch.data());
    kernels::decode_row(tensor.type, tensor.data + static_cast<std::uint64_t>(row) * in_bytes, x, n_cols);
    kernels::encode_row(type, x, out, n_cols);
  };
  rows.write(tensor.n_elements() / n_cols, out_bytes, static_cast<std::size_t>(n_cols) * sizeof(float), make,
             [&](std::int64_t n) { on_bytes(static_cast<std::uint64_t>(n) * in_bytes); });
}

}  // namespace

void quantize(const std::string& input, const std::string& output, const std::string& type,
              const FileProgress& progress) {
  const api::WeightRecipe& recipe = api::find_weight_recipe(type);
  const auto file = formats::WeightsFile::open(input);
  if (file->kind() != formats::SourceKind::gguf) {
    throw Error(ErrorCode::usage,
                fmt::format("{}: expected a GGUF file; llmgen convert makes one from a folder", input));
  }
  const formats::Metadata& metadata = file->metadata();
  const std::string architecture(metadata.require_string("general.architecture"));
  const auto n_layer = static_cast<std::int64_t>(metadata.find_uint(architecture + ".block_count").value_or(0));

  GgufHeader header;
  for (const auto& [key, entry] : metadata.entries()) {
    if (key.rfind("split.", 0) != 0 && key != "general.alignment") header.set(key, entry);
  }
  header.set_u32("general.quantization_version", 2);
  header.set_u32("general.file_type", recipe.file_type);
  std::vector<TensorType> types;
  std::uint64_t total = 0, done = 0;
  for (const TensorView& tensor : file->tensors()) {
    const bool changes = is_matrix_to_quantize(tensor);
    types.push_back(changes ? api::recipe_type(recipe, tensor.name, tensor.extent[0], n_layer) : tensor.type);
    header.add_tensor(tensor.name, types.back(),
                      std::span(tensor.extent.data(), static_cast<std::size_t>(tensor.n_dims)));
    total += tensor.n_bytes;
  }
  GgufWriter writer(output, std::move(header));
  const OnBytes on_bytes = [&](std::uint64_t bytes) {
    done += bytes;
    if (progress && !progress(static_cast<double>(done) / static_cast<double>(total))) {
      throw Error(ErrorCode::cancelled, "stopped; nothing was written");
    }
  };
  api::RowWriter rows(writer);
  for (std::size_t i = 0; i < types.size(); ++i) {
    const TensorView& tensor = file->tensors()[i];
    if (types[i] == tensor.type) {
      copy_tensor(writer, tensor, on_bytes);
    } else {
      convert_tensor(rows, tensor, types[i], on_bytes);
    }
  }
  writer.finish();
}

}  // namespace v1
}  // namespace llm
