#ifndef TOKENIZER_OLDER_UNICODE_H
#define TOKENIZER_OLDER_UNICODE_H

#include <string>
#include <string_view>

#include "tokenizer/unicode.h"

// Categories as some parts of the `tokenizers` library see them, whose tables are older than Unicode 16. `flags` are
// those of char_flags().
namespace llm::tokenizer::older {

bool is_punctuation(char32_t c, CharFlags flags);       // BertPreTokenizer, Punctuation; not for ASCII
bool is_control(char32_t c, CharFlags flags);           // BertNormalizer
bool is_non_spacing_mark(char32_t c, CharFlags flags);  // BertNormalizer
bool is_mark(char32_t c, CharFlags flags);              // StripAccents
// Newer characters with a decomposition stay as they are in NFD, NFKD and NFKC; newer marks stay where they are.
std::string normalize(std::string_view text, NormalForm form);

}  // namespace llm::tokenizer::older

#endif
