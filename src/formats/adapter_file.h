#ifndef FORMATS_ADAPTER_FILE_H
#define FORMATS_ADAPTER_FILE_H

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "formats/tensor.h"
#include "formats/weights_file.h"

namespace llm::formats {

// What an adapter adds to one matrix W: scale * B A. GGUF files have one part for the matrices of all experts: then a
// and b have an expert's matrices one after the other.
struct AdapterPart {
  std::string matrix;  // GGUF: the tensor's name without ".weight"; folder: the module's path from the wrapped model on
  TensorView a;        // [n_experts, rank, n_in]
  TensorView b;        // [n_experts, n_out, rank]
  float scale = 1;
  bool by_input = false;  // a lies as [n_in, rank]: embeddings in GGUF files

  std::int64_t rank() const { return a.extent[by_input ? 0 : 1]; }
  std::int64_t n_in() const { return a.extent[by_input ? 1 : 0]; }
  std::int64_t n_out() const { return b.extent[1]; }
  std::int64_t n_experts() const { return a.extent[2]; }
};

// A LoRA adapter on disk: a GGUF file as llama.cpp's convert_lora_to_gguf.py writes it, or a Hugging Face PEFT folder
// (adapter_config.json, adapter_model.safetensors). Everything in it is either a part or an error: variants of the
// method that add something else than scale * B A are refused by name. Views stay valid as long as this object lives.
class AdapterFile {
 public:
  // Throws Error(io | model).
  static std::unique_ptr<AdapterFile> open(const std::string& path);

  SourceKind kind() const { return kind_; }
  const std::string& path() const { return path_; }
  const std::string& architecture() const { return architecture_; }  // GGUF only
  std::span<const AdapterPart> parts() const { return parts_; }

 private:
  AdapterFile() = default;
  void read_gguf();
  void read_folder();

  SourceKind kind_ = SourceKind::gguf;
  std::string path_, architecture_;
  MappedFile file_;
  std::vector<std::unique_ptr<std::byte[]>> aligned_;  // copies of tensors that lie unaligned
  std::vector<AdapterPart> parts_;
};

}  // namespace llm::formats

#endif
