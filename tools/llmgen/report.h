#ifndef LLMGEN_REPORT_H
#define LLMGEN_REPORT_H

#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "console.h"

namespace llmgen {

// JSON text with invalid UTF-8 replaced by U+FFFD.
std::string dump(const nlohmann::ordered_json& value);

// The parts of a result that all JSON outputs share.
// Complete answers of a beam search, best first.
nlohmann::ordered_json beams_json(const llm::Result& result);
nlohmann::ordered_json usage_json(const llm::Result& result, std::size_t n_prompt);
nlohmann::ordered_json timings_json(const llm::Timings& timings, double load_seconds);
// One entry a token: id, text, logprob, and the likeliest alternatives.
nlohmann::ordered_json logprobs_json(const llm::Result& result, const llm::Tokenizer* tokenizer);

// The lines on stderr after a run: load time, time to first token, tokens a second.
void note_timings(const Console& console, const llm::Timings& timings, double load_seconds);

}  // namespace llmgen

#endif
