#ifndef TOKENIZER_HYBRID_DNA_H
#define TOKENIZER_HYBRID_DNA_H

#include <memory>

#include "tokenizer/model.h"
#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// Ends the vocabulary's texts of k-mers, which keeps them apart from ordinary tokens of the same letters: U+E000.
inline constexpr std::string_view kKmerMark = "\xEE\x80\x80";

// Ordinary text to another algorithm; between "<dna>" and "</dna>" six letters, in upper case, are one token, the last
// ones filled up with A; "<oov>" for what is none. Without these three tokens all of the text is ordinary.
std::unique_ptr<const Model> make_hybrid_dna(const Vocabulary& vocabulary, std::unique_ptr<const Model> ordinary,
                                             SplitterChain splitter);

}  // namespace llm::tokenizer

#endif
