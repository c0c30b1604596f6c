#include "api/embedding_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/mapped_file.h"
#include "formats/quote.h"
#include "formats/safetensors_reader.h"
#include "kernels/decode.h"

namespace llm::api {
namespace {

namespace fs = std::filesystem;
using formats::TensorView;
using nlohmann::json;

constexpr std::uintmax_t max_module_bytes = 1 << 20;

json module_json(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > max_module_bytes) return {};
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return json::parse(text.str(), nullptr, false);
}

std::string module_text(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<std::string> pooling_of_module(const json& config) {
  const auto is_set = [&](const char* key) {
    const auto at = config.find(key);
    return at != config.end() && at->is_boolean() && at->get<bool>();
  };
  if (!config.is_object()) return std::nullopt;
  if (const std::string name = module_text(config, "pooling_mode"); !name.empty()) {
    return name == "lasttoken" ? "last" : name;
  }
  static constexpr std::pair<const char*, const char*> modes[] = {
      {"pooling_mode_cls_token", "cls"},
      {"pooling_mode_mean_tokens", "mean"},
      {"pooling_mode_lasttoken", "last"},
      {"pooling_mode_max_tokens", "max"},
      {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len"},
      {"pooling_mode_weightedmean_tokens", "weightedmean"}};
  // Several are put side by side; what is not there is refused by its name when vectors are asked for.
  std::string name;
  for (const auto& [key, mode] : modes) {
    if (is_set(key)) name += (name.empty() ? "" : "+") + std::string(mode);
  }
  return name.empty() ? std::nullopt : std::optional(name);
}

EmbeddingHead::Dense dense_of(const TensorView& weight, const TensorView* bias, const std::string& place) {
  EmbeddingHead::Dense dense{.n_in = weight.extent[0], .n_out = weight.extent[1], .weight = {}, .bias = {}};
  if (weight.n_dims != 2 || (bias != nullptr && bias->n_elements() != dense.n_out)) {
    throw Error(ErrorCode::model, fmt::format("{}: expected a matrix and a bias of its height", place));
  }
  dense.weight.resize(static_cast<std::size_t>(weight.n_elements()));
  const std::uint64_t row_bytes = weight.n_bytes / static_cast<std::uint64_t>(dense.n_out);
  for (std::int64_t row = 0; row < dense.n_out; ++row) {
    kernels::decode_row(weight.type, weight.data + static_cast<std::uint64_t>(row) * row_bytes,
                        dense.weight.data() + row * dense.n_in, dense.n_in);
  }
  if (bias != nullptr) {
    dense.bias.resize(static_cast<std::size_t>(dense.n_out));
    kernels::decode_row(bias->type, bias->data, dense.bias.data(), dense.n_out);
  }
  return dense;
}

// A module of sentence-transformers: linear.weight, linear.bias, an activation.
void add_dense(const fs::path& folder, EmbeddingHead& head) {
  const std::string place = folder.string();
  const json config = module_json(folder / "config.json");
  const std::string activation = module_text(config, "activation_function");
  const std::string kind = activation.substr(activation.rfind('.') + 1);
  if (kind != "Identity" && kind != "Tanh") {
    head.refused =
        fmt::format("{}: activation_function: found {}, expected Identity or Tanh", place, formats::quote(activation));
    return;
  }
  const fs::path path = folder / "model.safetensors";
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    head.refused = fmt::format("{}: no model.safetensors (other kinds of files are not read)", place);
    return;
  }
  const MappedFile file(path.string());
  const formats::SafetensorsPart part = formats::parse_safetensors(file.bytes(), path.string());
  const auto find = [&](std::string_view name) {
    const auto found = std::find_if(part.tensors.begin(), part.tensors.end(),
                                    [&](const TensorView& tensor) { return tensor.name == name; });
    return found == part.tensors.end() ? nullptr : &*found;
  };
  const TensorView* weight = find("linear.weight");
  if (weight == nullptr) throw Error(ErrorCode::model, path.string() + ": no tensor linear.weight");
  head.dense.push_back(dense_of(*weight, find("linear.bias"), path.string()));
  head.dense.back().tanh = kind == "Tanh";
}

void read_modules(const fs::path& folder, EmbeddingHead& head) {
  const json modules = module_json(folder / "modules.json");
  if (!modules.is_array()) {
    head.pooling = pooling_of_module(module_json(folder / "1_Pooling" / "config.json"));
    return;
  }
  for (const json& module : modules) {
    const std::string type = module_text(module, "type"), name = type.substr(type.rfind('.') + 1);
    const fs::path path = folder / fs::path(module_text(module, "path")).filename();
    if (name == "Pooling") {
      head.pooling = pooling_of_module(module_json(path / "config.json"));
    } else if (name == "Dense") {
      add_dense(path, head);
    } else if (name != "Transformer" && name != "Normalize") {
      head.refused = fmt::format("{}: modules.json: found {}, expected Transformer, Pooling, Dense or Normalize",
                                 folder.string(), formats::quote(type));
    }
  }
}

}  // namespace

void EmbeddingHead::project(std::vector<float>& vector) const {
  for (const Dense& d : dense) {
    std::vector<float> out(static_cast<std::size_t>(d.n_out));
    for (std::size_t row = 0; row < out.size(); ++row) {
      double sum = d.bias.empty() ? 0 : static_cast<double>(d.bias[row]);
      const float* const weight = d.weight.data() + row * static_cast<std::size_t>(d.n_in);
      for (std::size_t i = 0; i < vector.size(); ++i) {
        sum += static_cast<double>(weight[i]) * static_cast<double>(vector[i]);
      }
      out[row] = static_cast<float>(d.tanh ? std::tanh(sum) : sum);
    }
    vector = std::move(out);
  }
}

EmbeddingHead read_embedding_head(const formats::WeightsFile& file, std::int64_t n_embd) {
  EmbeddingHead head;
  if (file.kind() == formats::SourceKind::hugging_face) read_modules(file.path(), head);
  if (file.kind() == formats::SourceKind::gguf) {
    for (const char* name : {"dense_2", "dense_3"}) {
      const std::string full = name;
      const TensorView* weight = file.find_tensor(full + ".weight");
      if (weight != nullptr) {
        head.dense.push_back(dense_of(*weight, file.find_tensor(full + ".bias"), file.path() + ": " + name));
      }
    }
  }
  std::int64_t width = n_embd;
  for (const EmbeddingHead::Dense& dense : head.dense) {
    if (dense.n_in != width) {
      throw Error(ErrorCode::model, fmt::format("{}: a projection of vectors of {} numbers, expected {}", file.path(),
                                                dense.n_in, width));
    }
    width = dense.n_out;
  }
  return head;
}

}  // namespace llm::api
