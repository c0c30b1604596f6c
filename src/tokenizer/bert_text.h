#ifndef TOKENIZER_BERT_TEXT_H
#define TOKENIZER_BERT_TEXT_H

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/splitter.h"

namespace llm::tokenizer {

struct BertNormalization {
  bool clean_text = true;            // drop control characters, white space becomes a space
  bool handle_chinese_chars = true;  // spaces around ideographs
  bool strip_accents = true;         // NFD, then without nonspacing marks
  bool lowercase = true;
};
std::string bert_normalize(std::string_view text, const BertNormalization& options);

// Words without the white space between them; every punctuation character is a word of its own.
std::unique_ptr<const Splitter> make_bert_splitter();

// ASCII punctuation and symbols, and category P.
bool is_bert_punctuation(char32_t c);

}  // namespace llm::tokenizer

#endif
