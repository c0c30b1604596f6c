#ifndef TOKENIZER_VOCABULARY_FILES_H
#define TOKENIZER_VOCABULARY_FILES_H

#include <llm/tokenizer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm::tokenizer {

// Tokenizers from the contents of files. `source` is the file's name in messages. All throw Error(model).

// A SentencePiece model: the protocol buffer ModelProto.
Tokenizer make_sentencepiece_tokenizer(std::string_view bytes, const std::string& source);

// A Hugging Face tokenizer.json, with tokenizer_config.json and generation_config.json if they are there (else empty):
// from these come the roles of tokens.
struct HuggingFaceFiles {
  std::string_view tokenizer, tokenizer_config, generation_config;
};
Tokenizer make_huggingface_tokenizer(const HuggingFaceFiles& files, const std::string& source);

// tiktoken ranks: lines of a token's bytes in base 64, a space, the rank.
struct TiktokenOptions {
  std::string pattern;  // the regular expression that cuts the text; empty: as its number of ranks suggests
  std::vector<std::pair<std::string, TokenId>> special_tokens;
};
Tokenizer make_tiktoken_tokenizer(std::string_view bytes, const std::string& source, const TiktokenOptions& options);
bool looks_like_tiktoken(std::string_view bytes);
// {"pat_str": ..., "special_tokens": {text: id}}
TiktokenOptions read_tiktoken_options(std::string_view json, const std::string& source);

// llama2.c's tokenizer.bin: the longest token's bytes (i32), then per token its score (f32), length (i32) and bytes.
Tokenizer make_llama2c_tokenizer(std::string_view bytes, const std::string& source);
bool looks_like_llama2c(std::string_view bytes);

}  // namespace llm::tokenizer

#endif
