#include "api/state_identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "kernels/kernels.h"
#include "model/weights.h"

namespace llm::api {
namespace {

constexpr int format_version = 1;
constexpr std::uint64_t n_samples = 32, sample_bytes = 64;

void add_tensor(Hash& hash, const formats::TensorView& tensor) {
  hash.add(tensor.name);
  hash.add(static_cast<std::uint64_t>(tensor.type));
  for (const std::int64_t extent : tensor.extent) hash.add(static_cast<std::uint64_t>(extent));
  const std::span<const std::byte> data(tensor.data, tensor.n_bytes);
  if (tensor.n_bytes <= n_samples * sample_bytes) return hash.add(data);
  for (std::uint64_t i = 0; i < n_samples; ++i) {
    hash.add(data.subspan((tensor.n_bytes - sample_bytes) / (n_samples - 1) * i, sample_bytes));
  }
}

void add_value(Hash& hash, const formats::Value& value) {
  hash.add(static_cast<std::uint64_t>(value.index()));
  if (const auto* text = std::get_if<std::string_view>(&value)) return hash.add(*text);
  if (const auto* array = std::get_if<formats::ArrayView>(&value)) return hash.add(array->bytes);
  if (const auto* real = std::get_if<double>(&value)) return hash.add(std::as_bytes(std::span(real, 1)));
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return hash.add(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return hash.add(static_cast<std::uint64_t>(*number));
  hash.add(static_cast<std::uint64_t>(std::get<bool>(value)));
}

std::uint64_t digest(const model::Model& model) {
  Hash hash;
  const formats::WeightsFile& file = model.file();
  hash.add(file.file_bytes());
  hash.add(file.config_json());
  for (const auto& [key, entry] : file.metadata().entries()) {
    if (key.starts_with("tokenizer.")) continue;
    hash.add(key);
    add_value(hash, entry.value);
  }
  for (const formats::TensorView& tensor : file.tensors()) add_tensor(hash, tensor);
  for (const ops::LowRank& low_rank : model.weights().low_ranks()) {
    for (const ops::WeightMatrix* m : {&low_rank.a, &low_rank.b}) {
      hash.add(std::span(m->data, static_cast<std::size_t>(m->n_out * m->row_bytes())));
    }
  }
  return hash.value();
}

}  // namespace

std::string state_identity(const Model::Impl& model, const RunOptions& run) {
  return fmt::format("llmgen state {}; model {:016x}; keys and values {}; {}{}", format_version, digest(*model.model),
                     tensor_type_info(run.executor.kv_type).name, kernels::kernels().name,
                     run.executor.exact ? "; exact" : "");
}

}  // namespace llm::api
