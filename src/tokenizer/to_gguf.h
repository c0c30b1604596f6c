#ifndef TOKENIZER_TO_GGUF_H
#define TOKENIZER_TO_GGUF_H

#include <cstdint>
#include <llm/tokenizer.hpp>
#include <string>

#include "formats/gguf_writer.h"

namespace llm::tokenizer {

// Sets the keys tokenizer.ggml.* of a GGUF file that cut text as `tokenizer` does, which was opened from `folder`
// (tokenizer.json or a SentencePiece tokenizer.model are read again for what a Tokenizer does not keep). The vocabulary
// gets n_vocab entries: missing ones are unused tokens. Settings that GGUF files cannot spell out, such as the name of
// the pre-tokenizer, are found by trial: the keys are read back as a tokenizer and both must agree on texts in many
// scripts. `pre` names the pre-tokenizer instead (empty: found by trial). Returns a description of what was written.
// Throws Error(model) if no setting agrees.
std::string write_gguf_vocabulary(const Tokenizer& tokenizer, const std::string& folder, std::int64_t n_vocab,
                                  const std::string& pre, formats::GgufHeader& header);

}  // namespace llm::tokenizer

#endif
