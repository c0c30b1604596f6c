#ifndef TOKENIZER_RECOGNIZE_PRETOKENIZER_H
#define TOKENIZER_RECOGNIZE_PRETOKENIZER_H

#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace llm::tokenizer {

// A value of tokenizer.ggml.pre that stands for a byte-level pre_tokenizer of a tokenizer.json.
struct RecognizedPreTokenizer {
  std::string_view name;
  // It cuts all texts at the same places; otherwise it leaves out cuts, which changes nothing if no merge of the
  // vocabulary joins what lies on both sides.
  bool same_cuts = false;
};

// The names whose rule makes no cut in `texts` that the pre_tokenizer does not make: those with the same cuts first,
// then those that leave out fewest. One name for each rule: the one that readers have known longest. Whether a space is
// put before the text makes no difference.
std::vector<RecognizedPreTokenizer> recognize_pretokenizer(const nlohmann::json& pre_tokenizer, bool ignore_merges,
                                                           std::span<const std::string_view> texts);

}  // namespace llm::tokenizer

#endif
