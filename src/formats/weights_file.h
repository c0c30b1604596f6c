#ifndef FORMATS_WEIGHTS_FILE_H
#define FORMATS_WEIGHTS_FILE_H

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "formats/metadata.h"
#include "formats/tensor.h"

namespace llm::formats {

enum class SourceKind : std::uint8_t { gguf, hugging_face, llama2c };

struct OpenOptions {
  bool mmap = true;    // false: read into memory
  bool mlock = false;  // keep the pages in memory
};

// What a model on disk offers, whatever the container: metadata, tensors, and where the tokenizer is.
// Immutable; views stay valid as long as this object lives.
class WeightsFile {
 public:
  virtual ~WeightsFile() = default;

  // GGUF (by magic, split files too), a Hugging Face folder, or a llama2.c checkpoint. Throws Error(io | model).
  // Reads headers only: no page of tensor data is touched, whatever the options; load() acts on them.
  static std::unique_ptr<WeightsFile> open(const std::string& path, const OpenOptions& options = {});

  // Brings the weights into memory in one sequential pass, as the options of open() say: read into private memory
  // (mmap off) or into the page cache, then locked (mlock). Without this call pages come when first used. Addresses of
  // tensors stay. Throws Error(io | memory | cancelled).
  virtual void load(const ReadProgress& progress = {}) = 0;

  virtual SourceKind kind() const = 0;
  virtual const std::string& path() const = 0;
  // GGUF metadata; for the other kinds empty.
  virtual const Metadata& metadata() const = 0;
  // config.json as text for Hugging Face folders (llama2.c: an equivalent made from its header); empty for GGUF.
  virtual std::string_view config_json() const = 0;
  virtual std::span<const TensorView> tensors() const = 0;
  virtual const TensorView* find_tensor(std::string_view name) const = 0;
  virtual std::uint64_t file_bytes() const = 0;  // of all parts together
};

}  // namespace llm::formats

#endif
