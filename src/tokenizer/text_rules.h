#ifndef TOKENIZER_TEXT_RULES_H
#define TOKENIZER_TEXT_RULES_H

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tokenizer/piece_pipeline.h"

namespace llm::tokenizer {

// GGUF files name a tokenizer's rules for texts (normaliser, pre-tokenizer, white space around special tokens) by a few
// fixed words. Where those say less than the tokenizer.json a file was made of, files of ours hold its rules as well:
// a JSON object of its normalizer, its pre_tokenizer and the added tokens that take white space with them. Other
// readers do not know the key.
inline constexpr std::string_view text_rules_key = "tokenizer.llmgen.rules";

// The rules of a tokenizer.json as such a text.
std::string text_rules(const nlohmann::json& tokenizer_json);

// Puts the rules in place of the normaliser and splitter that the file's other keys lead to. `byte_level`: the model
// takes bytes, or their stand-ins if false is returned. Error(model) names `source` and the part that is wrong.
bool apply_text_rules(std::string_view rules, const std::string& source, const Vocabulary& vocabulary, bool byte_level,
                      PiecePipeline::Options& options);

}  // namespace llm::tokenizer

#endif
