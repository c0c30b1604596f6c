#ifndef TESTS_UNIT_MODEL_GGUF_METADATA_H
#define TESTS_UNIT_MODEL_GGUF_METADATA_H

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <llm/error.hpp>

#include "formats/gguf_writer.h"
#include "model/family.h"
#include "temporary_folder.h"

// A GGUF file of metadata alone, and what the model's specification makes of it.

namespace llm::test {

using formats::GgufHeader;
using formats::GgufWriter;
using formats::WeightsFile;
using kernels::NormKind;
using model::Activation;
using model::Attention;
using model::Experts;
using model::GatedDelta;
using model::Hyper;
using model::LatentAttention;
using model::Mamba;
using model::Mlp;
using model::ModelKind;
using model::ModelSpec;
using model::RopePairing;
using model::RopeScaling;
using model::WindowKind;
using Router = ops::Router;

// A file's metadata with the keys that every architecture must have; no tensors but those named.
class File {
 public:
  // `missing`: one of them that is left out.
  explicit File(std::string architecture, std::string missing = "")
      : architecture_(std::move(architecture)), missing_(std::move(missing)) {
    header_.set_string("general.architecture", architecture_);
    header_.set_string("tokenizer.ggml.model", "none");
    u32("block_count", 8).u32("context_length", 4096).u32("embedding_length", 64).u32("feed_forward_length", 96);
    u32("attention.head_count", 4).u32("vocab_size", 100);
    f32("attention.layer_norm_rms_epsilon", 1e-5f).f32("attention.layer_norm_epsilon", 1e-5f);
  }
  File& u32(const std::string& key, std::uint32_t value) {
    if (key != missing_) header_.set_u32(name(key), value);
    return *this;
  }
  File& f32(const std::string& key, float value) {
    if (key != missing_) header_.set_f32(name(key), value);
    return *this;
  }
  File& flag(const std::string& key, bool value) {
    header_.set_bool(name(key), value);
    return *this;
  }
  File& text(const std::string& key, const std::string& value) {
    header_.set_string(name(key), value);
    return *this;
  }
  File& u32s(const std::string& key, const std::vector<std::uint32_t>& values) {
    header_.set_u32s(name(key), values);
    return *this;
  }
  File& flags(const std::string& key, const std::vector<bool>& values) {
    header_.set_bools(name(key), values);
    return *this;
  }
  // An empty tensor: that it is there.
  File& tensor(const std::string& tensor_name) {
    header_.add_tensor(tensor_name, TensorType::F32, std::vector<std::int64_t>{1});
    return *this;
  }
  File& experts(std::uint32_t count = 4, std::uint32_t used = 2) {
    return u32("expert_count", count).u32("expert_used_count", used);
  }

  ModelSpec spec() const {
    const TemporaryFolder folder;
    GgufWriter writer(folder.file("m.gguf"), header_);
    for (std::size_t i = 0; i < header_.tensors().size(); ++i) writer.write(std::vector<std::byte>(4));
    writer.finish();
    const auto file = WeightsFile::open(folder.file("m.gguf"));
    const Hyper hyper(*file);
    return model::resolve(hyper, model::find_family(hyper));
  }

 private:
  std::string name(const std::string& key) const { return architecture_ + "." + key; }
  std::string architecture_, missing_;
  GgufHeader header_;
};

inline const Attention& attention(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<Attention>(spec.decoder.layers.at(layer).mixers.front());
}
inline const Experts& experts(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<Experts>(spec.decoder.layers.at(layer).ffn);
}
inline const Mlp& mlp(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<Mlp>(spec.decoder.layers.at(layer).ffn);
}

// "wwwf": windowed, windowed, windowed, full ...
inline std::string windows(const ModelSpec& spec) {
  std::string all;
  for (std::size_t i = 0; i < spec.decoder.layers.size(); ++i) {
    all += attention(spec, i).window_kind == WindowKind::none ? 'f' : 'w';
  }
  return all;
}
// "r" rotated, "-" not.
inline std::string rotations(const ModelSpec& spec) {
  std::string all;
  for (std::size_t i = 0; i < spec.decoder.layers.size(); ++i) all += attention(spec, i).rope.dims != 0 ? 'r' : '-';
  return all;
}

inline std::string refusal(const File& file) {
  try {
    file.spec();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

}  // namespace llm::test

#endif
