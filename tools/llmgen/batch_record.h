#ifndef LLMGEN_BATCH_RECORD_H
#define LLMGEN_BATCH_RECORD_H

#include <deque>
#include <llm/llm.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "batch_fields.h"
#include "chat_prompt.h"
#include "line_template.h"

namespace llmgen {

enum class RecordKind : std::uint8_t { generate, score, choices, embed };

// How lines are read, from the command line.
struct RecordRules {
  llm::Request defaults;
  ChatFlags chat;
  std::shared_ptr<const llm::ChatTemplate> chat_template;  // null: there is none,
  std::string no_template_reason;                          // because
  LineTemplate line_template;
  bool plain_lines = false;  // every line is a prompt
  bool score = false, embed = false;
  bool parse_special = false;
  bool strict = false;  // unknown fields of an OpenAI body are errors
  std::string source_lang, target_lang;
  bool beams_given = false;  // on the command line, not by the model
};

// One line, understood.
struct Record {
  RecordKind kind = RecordKind::generate;
  llm::Request request;                                // without a prompt
  std::vector<std::vector<llm::TokenId>> prompts;      // one, but for lists in an OpenAI body
  std::string prompt_field;                            // that the prompt came from
  std::vector<std::vector<llm::TokenId>> completions;  // score: one; choices: each
  std::vector<std::string> choices;                    // texts of the choices
  nlohmann::ordered_json carried;                      // id and the user's own fields
  bool chat = false;                                   // the prompt is a conversation
  int n_top_logprobs = 0;                              // of request.n_logprobs, how many are shown
  // OpenAI batch format.
  bool openai = false;
  std::string custom_id, url, model_name;
  int n_choices = 1;  // answers of each prompt
  bool base64 = false;
  std::vector<std::string> echo;  // texts of the prompts that answers begin with
  std::vector<std::string> warnings;

  std::size_t n_prompt_tokens() const;
};

// Id and own fields of a line as far as it can be read, for an error object in its place.
struct LineIdentity {
  nlohmann::ordered_json carried = nlohmann::ordered_json::object();
  bool openai = false;
};

// Reads lines. One thread at a time.
class RecordReader {
 public:
  // Refers to both, which must outlive it.
  RecordReader(const RecordRules& rules, const llm::Model& model) : rules_(rules), model_(model) {}

  // `index`: the line's place in the input, from which its seed is made unless it names one. Throws RecordError.
  Record read(const std::string& line, std::uint64_t index);
  LineIdentity identity(const std::string& line) const;

 private:
  llm::Constraint compile(const ConstraintText& text, bool lax);

  const RecordRules& rules_;
  const llm::Model& model_;
  // The latest few constraints and their texts: lines that share one share what is computed for it.
  std::deque<std::pair<std::string, llm::Constraint>> constraints_;
};

}  // namespace llmgen

#endif
