#ifndef LLMGEN_BATCH_RESULT_H
#define LLMGEN_BATCH_RESULT_H

#include <llm/llm.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "batch_record.h"

namespace llmgen {

// What a result line shows on request.
struct ResultRules {
  bool ids = false;
  bool timings = false;
  std::string reasoning = "show";
  std::shared_ptr<const llm::ChatTemplate> chat_template;  // takes answers of conversations apart
};

// Result lines, safe to make on any thread. `index` is the place of the input line, counted from 0 over lines that are
// not blank. A field of the user's with the name of one of ours is found in "input".

// `results`: those of the first prompt, then of the second ...; n_choices each.
nlohmann::ordered_json generated_json(std::uint64_t index, const Record& record, std::vector<llm::Result>& results,
                                      const ResultRules& rules, const llm::Model& model);
nlohmann::ordered_json score_json(std::uint64_t index, const Record& record, const llm::ScoreResult& score);
nlohmann::ordered_json choices_json(std::uint64_t index, const Record& record,
                                    const std::vector<llm::ScoreResult>& scores);
nlohmann::ordered_json embedding_json(std::uint64_t index, const Record& record,
                                      const std::vector<llm::EmbedResult>& results, const llm::Model& model);
// What stands in the place of a line that could not be served.
struct LineError {
  LineIdentity identity;
  llm::ErrorCode code = llm::ErrorCode::usage;
  std::string field, message;
};
nlohmann::ordered_json error_json(std::uint64_t index, const LineError& error);

// Whether a result line, as one of these functions made it, stands for a failure.
bool is_failure(const nlohmann::json& result);

}  // namespace llmgen

#endif
