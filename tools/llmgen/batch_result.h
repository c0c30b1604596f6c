#ifndef LLMGEN_BATCH_RESULT_H
#define LLMGEN_BATCH_RESULT_H

#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "batch_record.h"

namespace llmgen {

// What a result line shows on request.
struct ResultRules {
  bool ids = false;
  bool timings = false;
  ChatFlags chat;
};

// Result lines. `index` is the place of the input line, counted from 0 over lines that are not blank.
nlohmann::ordered_json generated_json(std::uint64_t index, const Record& record,
                                      const std::vector<llm::Result>& results, const ResultRules& rules,
                                      const llm::Model& model);
nlohmann::ordered_json score_json(std::uint64_t index, const Record& record, const llm::ScoreResult& score);
nlohmann::ordered_json choices_json(std::uint64_t index, const Record& record,
                                    const std::vector<llm::ScoreResult>& scores);
nlohmann::ordered_json embedding_json(std::uint64_t index, const Record& record, const std::vector<float>& embedding,
                                      const llm::Model& model);
nlohmann::ordered_json error_json(std::uint64_t index, const nlohmann::ordered_json& carried, bool openai,
                                  llm::ErrorCode code, const std::string& field, const std::string& message);

}  // namespace llmgen

#endif
