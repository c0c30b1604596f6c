#ifndef TOKENIZER_FROM_GGUF_H
#define TOKENIZER_FROM_GGUF_H

#include <llm/tokenizer.hpp>

#include "formats/metadata.h"

namespace llm::tokenizer {

// Whether the metadata describes a vocabulary: tokenizer.ggml.model is there and not "none" or "no_vocab".
bool has_vocabulary(const formats::Metadata& metadata);

// The tokenizer of a GGUF file. Texts are copied: the file may be closed afterwards. Throws Error(model) that names
// file and key, also if has_vocabulary() is false.
Tokenizer make_tokenizer(const formats::Metadata& metadata);

}  // namespace llm::tokenizer

#endif
