#ifndef FORMATS_HUGGINGFACE_FOLDER_H
#define FORMATS_HUGGINGFACE_FOLDER_H

#include <string>

#include "formats/mapped_weights.h"

namespace llm::formats {

// config.json and model.safetensors, or the shards that model.safetensors.index.json names.
// Throws Error(io) if a file is missing, Error(model) if one is damaged.
WeightsContents read_huggingface_folder(const std::string& folder);

}  // namespace llm::formats

#endif
