#ifndef TOKENIZER_SCRIPT_SPLITTER_H
#define TOKENIZER_SCRIPT_SPLITTER_H

#include <memory>

#include "tokenizer/splitter.h"

namespace llm::tokenizer {

// Cuts where the script changes; kana count as Han, spaces and unassigned characters as part of what stands before.
// Those at the very start of a text are dropped, as the `tokenizers` library does.
std::unique_ptr<const Splitter> make_script_splitter();

// Pieces of `length` characters, the last one of what is left.
std::unique_ptr<const Splitter> make_length_splitter(std::size_t length);

}  // namespace llm::tokenizer

#endif
