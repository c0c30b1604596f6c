#ifndef SUPPORT_EDITABLE_GGUF_H
#define SUPPORT_EDITABLE_GGUF_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "formats/weights_file.h"
#include "kernels/decode.h"

// A GGUF file's keys and tensors (as float32) in memory, to change and write again.
struct EditableGguf {
  struct Tensor {
    std::vector<std::int64_t> extent;  // fastest first
    std::vector<float> values;
    std::int64_t n_rows() const { return static_cast<std::int64_t>(values.size()) / extent[0]; }
  };

  explicit EditableGguf(const std::string& path) : file(llm::formats::WeightsFile::open(path)) {
    header.copy_from(file->metadata());
    for (const llm::formats::TensorView& view : file->tensors()) {
      Tensor& tensor = tensors[std::string(view.name)];
      tensor.extent.assign(view.extent.begin(), view.extent.begin() + view.n_dims);
      tensor.values.resize(static_cast<std::size_t>(view.n_elements()));
      llm::kernels::decode_row(view.type, view.data, tensor.values.data(), view.n_elements());
    }
  }

  std::string architecture() const { return std::string(file->metadata().require_string("general.architecture")); }

  // The same keys under another architecture's name.
  void rename(const std::string& to) {
    const std::string from = architecture() + ".";
    llm::formats::GgufHeader renamed;
    for (const auto& [key, entry] : file->metadata().entries()) {
      renamed.set(key.starts_with(from) ? to + "." + key.substr(from.size()) : key, entry);
    }
    header = renamed;
    header.set_string("general.architecture", to);
  }

  // Tensors one below the other become one.
  void fuse(const std::vector<std::string>& names, const std::string& to) {
    Tensor fused;
    for (const std::string& name : names) {
      const Tensor part = tensors.extract(name).mapped();
      if (fused.extent.empty()) {
        fused = part;
      } else {
        fused.extent.back() += part.extent.back();
        fused.values.insert(fused.values.end(), part.values.begin(), part.values.end());
      }
    }
    tensors[to] = fused;
  }

  void write(const std::string& path) const {
    llm::formats::GgufHeader whole = header;
    for (const auto& [name, tensor] : tensors) whole.add_tensor(name, llm::TensorType::F32, tensor.extent);
    llm::formats::GgufWriter writer(path, whole);
    for (const auto& [name, tensor] : tensors) writer.write(std::as_bytes(std::span(tensor.values)));
    writer.finish();
  }

  std::unique_ptr<llm::formats::WeightsFile> file;
  llm::formats::GgufHeader header;
  std::map<std::string, Tensor> tensors;
};

#endif
