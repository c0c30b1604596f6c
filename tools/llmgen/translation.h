#ifndef LLMGEN_TRANSLATION_H
#define LLMGEN_TRANSLATION_H

#include <CLI/CLI.hpp>
#include <llm/llm.hpp>
#include <optional>
#include <string>
#include <vector>

namespace llmgen {

// Beam search, and what encoder-decoders need besides a source text.
struct TranslationFlags {
  int beams = 0;  // 0: as the model says
  std::optional<float> length_penalty;
  std::string early_stopping;  // "true", "false", "never"; empty: as the model says
  std::string source_lang, target_lang;
  std::string decoder_ids;
};
void add_translation_flags(CLI::App& app, TranslationFlags& flags);

// Throws Error(usage) that names `option`.
llm::BeamStop parse_beam_stop(const std::string& text, const std::string& option);

// Fills in what neither these flags nor those of `app` (sampling, -n) say: encoder-decoders are used as their publisher
// means it, by default without random draws. Throws Error(usage) for what does not fit the model.
void complete_request(const CLI::App& app, const TranslationFlags& flags, const llm::Model& model,
                      llm::Request& request);

// Ids of a source text, or of a prompt of any other model, with the tokens for its language (--source-lang; for some
// models the target's stands there too).
std::vector<llm::TokenId> text_ids(const llm::Model& model, const std::string& text, bool parse_special,
                                   const std::string& source_lang, const std::string& target_lang);
// Makes the answer begin in this language, where the model wants to be told by the decoder.
void set_target_language(const llm::Model& model, const std::string& target_lang, llm::Request& request);

}  // namespace llmgen

#endif
