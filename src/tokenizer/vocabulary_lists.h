#ifndef TOKENIZER_VOCABULARY_LISTS_H
#define TOKENIZER_VOCABULARY_LISTS_H

#include <optional>
#include <string>
#include <string_view>

namespace llm::tokenizer {

// What folders without a tokenizer.json hold instead; texts are empty where a file is missing.
struct VocabularyLists {
  std::string_view words;               // vocab.txt: one token a line (BERT)
  std::string_view vocabulary, merges;  // vocab.json and merges.txt (GPT-2, RoBERTa, BART, OPT, Qwen2)
  std::string_view tokenizer_config, special_tokens_map, added_tokens, model_config;
};

// The files that the lists stand for, as the class that the folder names has its rules; tokenizer_config says every
// role of a token. Error(model) names `source` and a class whose rules are not known.
struct TokenizerTexts {
  std::string tokenizer_json, tokenizer_config;
};
TokenizerTexts tokenizer_of_lists(const VocabularyLists& files, const std::string& source);
// The same for the lists in a folder; nullopt if it has none. Error(io | model).
std::optional<TokenizerTexts> tokenizer_of_lists(const std::string& folder);

}  // namespace llm::tokenizer

#endif
