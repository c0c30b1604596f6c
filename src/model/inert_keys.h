#ifndef MODEL_INERT_KEYS_H
#define MODEL_INERT_KEYS_H

#include <string_view>

namespace llm::model {

// Keys of config.json that say nothing about the forward pass: training, generation, bookkeeping.
bool is_inert_config_key(std::string_view key);
// Keys of GGUF files likewise, without the architecture's prefix.
bool is_inert_gguf_key(std::string_view key);

}  // namespace llm::model

#endif
