#include <fmt/format.h>

#include <llm/evaluate.hpp>
#include <span>

#include "formats/safetensors_writer.h"

namespace llm {
inline namespace v1 {

namespace {

// Tensors in the order they are announced.
class TensorList {
 public:
  void add(std::string name, const std::vector<float>& values, std::int64_t n_cols) {
    if (values.empty()) return;
    entries_.push_back({std::move(name), TensorType::F32, {static_cast<std::int64_t>(values.size()) / n_cols, n_cols}});
    data_.push_back(std::as_bytes(std::span(values)));
  }
  void add(std::string name, const std::vector<TokenId>& ids) {
    if (ids.empty()) return;
    entries_.push_back({std::move(name), TensorType::I32, {static_cast<std::int64_t>(ids.size())}});
    data_.push_back(std::as_bytes(std::span(ids)));
  }
  void add_each(const std::string& name, const std::vector<std::vector<float>>& layers, std::int64_t n_cols) {
    for (std::size_t i = 0; i < layers.size(); ++i) add(fmt::format("{}.{}", name, i), layers[i], n_cols);
  }

  void write(const std::string& path) const {
    formats::SafetensorsWriter writer(path, entries_);
    for (const auto& bytes : data_) writer.write(bytes);
    writer.finish();
  }

 private:
  std::vector<formats::SafetensorsEntry> entries_;
  std::vector<std::span<const std::byte>> data_;
};

}  // namespace

void Evaluation::save_safetensors(const std::string& path) const {
  TensorList tensors;
  tensors.add("input_ids", ids);
  tensors.add("decoder_input_ids", decoder_ids);
  tensors.add("logits", logits, n_vocab);
  tensors.add("last_hidden", last_hidden, n_embd);
  tensors.add_each(enc_hidden.empty() ? "hidden" : "dec_hidden", hidden, n_embd);
  tensors.add_each("enc_hidden", enc_hidden, n_embd);
  tensors.write(path);
}

}  // namespace v1
}  // namespace llm
