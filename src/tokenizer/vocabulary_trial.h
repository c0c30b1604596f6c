#ifndef TOKENIZER_VOCABULARY_TRIAL_H
#define TOKENIZER_VOCABULARY_TRIAL_H

#include <cstdint>
#include <llm/tokenizer.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_writer.h"

namespace llm::tokenizer {

// Whether the keys of a GGUF file cut texts as a tokenizer does: they are read back and both are tried on texts in many
// scripts and on texts made of the vocabulary's own tokens.
class VocabularyTrial {
 public:
  enum class Texts : std::uint8_t {
    plain,  // single spaces between words, in the normal form of the tokenizer, beginning as it likes texts to begin
    all
  };
  // `tokenizer_json`: of the tokenizer, or null.
  VocabularyTrial(const Tokenizer& tokenizer, const nlohmann::json& tokenizer_json);

  // The first text that is cut otherwise.
  std::optional<std::string> difference(const formats::GgufHeader& header, Texts which) const;

  // The texts in many scripts: white space, line ends, digits, contractions, marks, cases, punctuation, symbols.
  static std::span<const std::string_view> texts();

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> plain_, all_;
};

}  // namespace llm::tokenizer

#endif
