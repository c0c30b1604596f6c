#ifndef FORMATS_MAPPED_WEIGHTS_H
#define FORMATS_MAPPED_WEIGHTS_H

#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "formats/weights_file.h"

namespace llm::formats {

// What a container's reader found.
struct WeightsContents {
  SourceKind kind = SourceKind::gguf;
  std::string path;
  std::vector<MappedFile> parts;
  Metadata metadata;
  std::string config_json;
  std::vector<TensorView> tensors;
};

// The one WeightsFile behind all containers. Error(model) if two tensors have one name.
std::unique_ptr<WeightsFile> make_weights_file(WeightsContents contents, const OpenOptions& options);

}  // namespace llm::formats

#endif
