#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <llm/files.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/model_impl.h"
#include "api/row_writer.h"
#include "api/weight_recipe.h"
#include "formats/gguf_writer.h"
#include "formats/weights_file.h"
#include "kernels/decode.h"
#include "kernels/quantize.h"
#include "model/gguf_export.h"
#include "tokenizer/to_gguf.h"

namespace llm {
inline namespace v1 {

namespace {

using formats::GgufHeader;
using formats::GgufWriter;
using model::BoundTensor;

// What readers expect as float32: vectors, and small tensors that decide much.
bool stays_float(const BoundTensor& tensor) {
  static constexpr std::array<std::string_view, 7> parts = {
      "_norm", "ffn_gate_inp", "ssm_conv1d", "shortconv.conv", "position_embd", "token_types", "rope_f"};
  return tensor.shape.size() == 1 || !tensor.name.ends_with(".weight") ||
         std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; });
}

std::vector<std::int64_t> extents(const BoundTensor& tensor) {
  return {tensor.shape.rbegin(), tensor.shape.rend()};
}

// Null: matrices stay in the types of the folder.
TensorType written_type(const BoundTensor& tensor, const api::WeightRecipe* recipe, std::int64_t n_layer) {
  if (stays_float(tensor)) return TensorType::F32;
  if (recipe == nullptr || tensor.type == TensorType::MXFP4) return tensor.type;
  if (tensor.name.ends_with("attn_rel_b.weight")) return TensorType::F32;
  return api::recipe_type(*recipe, tensor.name, tensor.shape.back(), n_layer);
}

// general.file_type: of the type that most of the weights have.
std::uint32_t file_type_of(const std::vector<BoundTensor>& tensors, const std::vector<TensorType>& types) {
  std::map<TensorType, std::int64_t> sizes;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    sizes[types[i]] += tensors[i].n_rows() * tensors[i].row_elements();
  }
  const auto most =
      std::max_element(sizes.begin(), sizes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  switch (most->first) {
    case TensorType::F16:
      return 1;
    case TensorType::BF16:
      return 32;
    case TensorType::MXFP4:
      return 38;
    case TensorType::Q8_0:
      return 7;
    default:
      return 0;
  }
}

// Settings that the model's makers recommend, if they sample at all.
void set_sampling(GgufHeader& header, const std::string& folder) {
  const nlohmann::json config = api::generation_config(folder);
  if (!config.is_object() || !config.value("do_sample", false)) return;
  const auto number = [&](const char* name, const char* key) {
    const auto found = config.find(name);
    if (found != config.end() && found->is_number()) header.set_f32(key, found->get<float>());
  };
  number("temperature", "general.sampling.temp");
  number("top_p", "general.sampling.top_p");
  number("min_p", "general.sampling.min_p");
  number("repetition_penalty", "general.sampling.penalty_repeat");
  const auto top_k = config.find("top_k");
  if (top_k != config.end() && top_k->is_number_integer()) {
    header.set_i32("general.sampling.top_k", top_k->get<std::int32_t>());
  }
}

std::string name_of(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::weakly_canonical(folder);
  return path.filename().empty() ? path.parent_path().filename().string() : path.filename().string();
}

// Rows made, converted and written.
void write_tensor(api::RowWriter& rows, const BoundTensor& tensor, TensorType type,
                  const std::function<void(std::uint64_t)>& on_bytes) {
  const std::int64_t n_cols = tensor.row_elements();
  const std::uint64_t in_bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(n_cols));
  const std::uint64_t out_bytes = tensor_row_bytes(type, static_cast<std::uint64_t>(n_cols));
  const std::size_t float_bytes = static_cast<std::size_t>(n_cols) * sizeof(float);
  const auto make = [&](std::int64_t row, std::span<std::byte> scratch, std::byte* out) {
    if (type == tensor.type) return tensor.row(row, out);
    float* const x = reinterpret_cast<float*>(scratch.data());
    std::byte* const in = scratch.data() + float_bytes;
    tensor.row(row, in);
    kernels::decode_row(tensor.type, in, x, n_cols);
    kernels::encode_row(type, x, out, n_cols);
  };
  rows.write(tensor.n_rows(), out_bytes, float_bytes + in_bytes, make,
             [&](std::int64_t n) { on_bytes(static_cast<std::uint64_t>(n) * out_bytes); });
}

// Projections of joined vectors: files of this architecture hold up to two, without biases.
void add_projections(const api::EmbeddingHead& head, const std::string& folder, model::GgufExport& plan) {
  if (head.dense.empty()) return;
  const bool plain = std::all_of(head.dense.begin(), head.dense.end(),
                                 [](const auto& dense) { return dense.bias.empty() && !dense.tanh; });
  if (plan.architecture != "gemma-embedding" || head.dense.size() > 2 || !plain) {
    throw Error(ErrorCode::model,
                fmt::format("{}: the projections of its vectors (Dense in modules.json) have no place "
                            "in GGUF files of architecture '{}'",
                            folder, plan.architecture));
  }
  for (std::size_t i = 0; i < head.dense.size(); ++i) {
    const api::EmbeddingHead::Dense& dense = head.dense[i];
    const std::string name = fmt::format("dense_{}", i + 2);
    BoundTensor tensor{"", name + ".weight", {dense.n_out, dense.n_in}, TensorType::F32, {}};
    tensor.row = [values = dense.weight, n = dense.n_in](std::int64_t row, std::byte* out) {
      std::memcpy(out, values.data() + row * n, static_cast<std::size_t>(n) * sizeof(float));
    };
    plan.tensors.push_back(std::move(tensor));
    plan.keys[name + "_feat_in"] = dense.n_in;
    plan.keys[name + "_feat_out"] = dense.n_out;
  }
}

}  // namespace

Conversion convert(const std::string& folder, const std::string& output, const ConvertOptions& options,
                   const FileProgress& progress) {
  const api::WeightRecipe* recipe = options.type.empty() ? nullptr : &api::find_weight_recipe(options.type);
  const auto file = formats::WeightsFile::open(folder);
  model::GgufExport plan = model::export_gguf(*file);
  const auto n_layer = std::get<std::int64_t>(plan.keys.at("block_count"));
  const api::EmbeddingHead head =
      api::read_embedding_head(*file, std::get<std::int64_t>(plan.keys.at("embedding_length")));
  if (!head.refused.empty()) throw Error(ErrorCode::model, head.refused);
  add_projections(head, folder, plan);

  std::vector<TensorType> types;
  for (const BoundTensor& tensor : plan.tensors) types.push_back(written_type(tensor, recipe, n_layer));
  GgufHeader header;
  header.set_string("general.architecture", plan.architecture);
  header.set_string("general.type", "model");
  header.set_string("general.name", name_of(folder));
  header.set_u32("general.file_type", recipe != nullptr ? recipe->file_type : file_type_of(plan.tensors, types));
  header.set_u32("general.quantization_version", 2);
  set_sampling(header, folder);
  if (const auto& pooling = head.pooling) {
    static constexpr std::array<std::string_view, 5> names = {"none", "mean", "cls", "last", "rank"};
    const auto found = std::find(names.begin(), names.end(), *pooling);
    if (found == names.end())
      throw Error(ErrorCode::model, fmt::format("{}: GGUF has no pooling '{}'", folder, *pooling));
    plan.keys["pooling_type"] = static_cast<std::int64_t>(found - names.begin());
  }
  model::set_keys(header, plan.architecture, plan.keys);
  if (plan.n_token_types > 0) {
    header.set_u32("tokenizer.ggml.token_type_count", static_cast<std::uint32_t>(plan.n_token_types));
  }
  Conversion result{plan.architecture, plan.left_out, model::unread_elsewhere(plan), {}};
  if (const std::optional<Tokenizer> tokenizer = api::open_tokenizer(*file)) {
    result.vocabulary = tokenizer::write_gguf_vocabulary(
        *tokenizer, folder, std::get<std::int64_t>(plan.keys.at("vocab_size")), options.pretokenizer, header);
  } else {
    header.set_string("tokenizer.ggml.model", "none");
  }
  for (const auto& [name, text] : api::chat_templates(*file)) {
    header.set_string(name.empty() ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, text);
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    header.add_tensor(plan.tensors[i].name, types[i], extents(plan.tensors[i]));
  }

  const auto total = static_cast<double>(std::max<std::uint64_t>(header.data_bytes(), 1));
  std::uint64_t done = 0;
  GgufWriter writer(output, std::move(header));
  const auto on_bytes = [&](std::uint64_t bytes) {
    done += bytes;
    if (progress && !progress(static_cast<double>(done) / total)) {
      throw Error(ErrorCode::cancelled, "stopped; nothing was written");
    }
  };
  api::RowWriter rows(writer);
  for (std::size_t i = 0; i < types.size(); ++i) write_tensor(rows, plan.tensors[i], types[i], on_bytes);
  writer.finish();
  return result;
}

}  // namespace v1
}  // namespace llm
