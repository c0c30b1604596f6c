#ifndef LLMGEN_BATCH_FIELDS_H
#define LLMGEN_BATCH_FIELDS_H

#include <cstdint>
#include <functional>
#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace llmgen {

// A line that cannot be served: which field, and what is wrong with it.
struct RecordError : std::runtime_error {
  RecordError(std::string field_name, const std::string& message, llm::ErrorCode error_code = llm::ErrorCode::usage)
      : std::runtime_error(message), field(std::move(field_name)), code(error_code) {}
  std::string field;
  llm::ErrorCode code;
};

// "field: expected ..., found ..."
[[noreturn]] void wrong_field(const std::string& field, const std::string& expected,
                              const nlohmann::ordered_json& found);

// Values of a field, or RecordError.
double number_in(const std::string& field, const nlohmann::ordered_json& value);
std::int64_t whole_in(const std::string& field, const nlohmann::ordered_json& value, std::int64_t low,
                      std::int64_t high);
bool boolean_in(const std::string& field, const nlohmann::ordered_json& value);
std::string string_in(const std::string& field, const nlohmann::ordered_json& value);
std::vector<std::string> strings_in(const std::string& field, const nlohmann::ordered_json& value);
std::vector<llm::TokenId> ids_in(const std::string& field, const nlohmann::ordered_json& value);

// What a line says an answer must look like, before it is compiled.
struct ConstraintText {
  enum class Kind : std::uint8_t { json_schema, json_object, regex, choice, grammar };
  Kind kind = Kind::json_object;
  std::string field;               // that it came from
  std::vector<std::string> texts;  // one, or the choices
};

// Options of a line as they are read.
struct LineOptions {
  llm::Request request;  // without a prompt
  std::optional<ConstraintText> constraint;
  bool lax = false;
  // OpenAI's pair: whether log-probabilities are wanted, and of how many tokens at each place.
  std::optional<bool> logprobs;
  std::optional<int> top_logprobs;
  std::string source_lang, target_lang;
  bool beams_given = false;  // by the line or the command line, not by the model
};

// Takes a value into the options if `field` is the name of an option (of a flag, with - or _, or OpenAI's). Throws
// RecordError for a value that does not fit.
bool set_option(const std::string& field, const nlohmann::ordered_json& value, LineOptions& options);
bool is_option(std::string_view field);
// The option that a field which is none is probably meant to be; empty: none.
std::string nearest_option(std::string_view field);

}  // namespace llmgen

#endif
