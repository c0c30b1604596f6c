#ifndef FORMATS_MAPPED_WEIGHTS_H
#define FORMATS_MAPPED_WEIGHTS_H

#include <cstddef>
#include <deque>
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
  std::deque<std::string> names;                        // of tensors, where they do not lie in the file as they are
  std::vector<std::unique_ptr<std::byte[]>> converted;  // data of tensors that could not be used as they lie
  Metadata metadata;
  std::string config_json;
  std::vector<TensorView> tensors;
};

// The one WeightsFile behind all containers. Error(model) if two tensors have one name.
std::unique_ptr<WeightsFile> make_weights_file(WeightsContents contents, const OpenOptions& options);

}  // namespace llm::formats

#endif
