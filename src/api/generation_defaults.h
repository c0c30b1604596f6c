#ifndef API_GENERATION_DEFAULTS_H
#define API_GENERATION_DEFAULTS_H

#include <llm/model.hpp>
#include <vector>

#include "formats/weights_file.h"

namespace llm::api {

struct GenerationFile {
  GenerationDefaults defaults;
  std::vector<TokenId> end_tokens;  // of generation_config.json
};

// generation_config.json of a folder, else the same keys of config.json; of other models than encoder-decoders the end
// tokens alone. Throws Error(model) that names a key whose value makes no sense.
GenerationFile generation_file(const formats::WeightsFile& file, bool is_encoder_decoder);

}  // namespace llm::api

#endif
