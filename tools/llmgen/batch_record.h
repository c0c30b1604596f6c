#ifndef LLMGEN_BATCH_RECORD_H
#define LLMGEN_BATCH_RECORD_H

#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "chat_prompt.h"

namespace llmgen {

// A line that cannot be served: which field, and what is wrong with it.
struct RecordError : std::runtime_error {
  RecordError(std::string field_name, const std::string& message)
      : std::runtime_error(message), field(std::move(field_name)) {}
  std::string field;
};

enum class RecordKind : std::uint8_t { generate, score, choices, embed };

// How lines are read, from the command line.
struct RecordRules {
  llm::Request defaults;
  ChatFlags chat;
  bool plain_lines = false;  // every line is a prompt
  bool score = false, embed = false;
  bool parse_special = false;
  bool strict = false;        // unknown fields of an OpenAI body are errors
  std::string line_template;  // "Summarise: {text}"
  std::string source_lang, target_lang;
  bool beams_given = false;  // on the command line, not by the model
};

// One line, understood.
struct Record {
  RecordKind kind = RecordKind::generate;
  llm::Request request;                  // generate, embed (prompt only), score (prompt)
  std::vector<llm::TokenId> completion;  // score
  std::vector<std::string> choices;      // choices
  std::vector<std::vector<llm::TokenId>> choice_ids;
  nlohmann::ordered_json carried;  // id and the user's own fields
  bool chat = false;               // the prompt is a conversation
  int n_choices = 1;               // OpenAI's n
  std::string source_lang, target_lang;
  bool beams_given = false;
  // OpenAI batch format.
  bool openai = false;
  std::string custom_id, url, model_name;
  std::vector<std::string> warnings;
};

// Reads one line. Throws RecordError.
Record parse_record(const std::string& line, const RecordRules& rules, const llm::Model& model);

// Id and own fields of a line as far as it can be read, for an error object in its place.
nlohmann::ordered_json carried_fields(const std::string& line, const RecordRules& rules, bool& openai);

}  // namespace llmgen

#endif
