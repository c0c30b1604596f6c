#include "report.h"

#include <fmt/format.h>

namespace llmgen {

using nlohmann::ordered_json;

std::string dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json beams_json(const llm::Result& result) {
  ordered_json beams = ordered_json::array();
  for (const llm::BeamAnswer& beam : result.beams) {
    beams.push_back({{"text", beam.text},
                     {"ids", beam.ids},
                     {"score", beam.score},
                     {"finish_reason", llm::to_string(beam.reason)}});
  }
  return beams;
}

ordered_json usage_json(const llm::Result& result, std::size_t n_prompt) {
  return {{"prompt_tokens", n_prompt},
          {"completion_tokens", result.ids.size()},
          {"total_tokens", n_prompt + result.ids.size()},
          {"prompt_tokens_details", {{"cached_tokens", result.timings.n_cached}}}};
}

namespace {

double rate(std::int64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

}  // namespace

ordered_json timings_json(const llm::Timings& timings, double load_seconds) {
  const std::int64_t n_evaluated = timings.n_prompt - timings.n_cached;
  ordered_json object = {{"load_ms", load_seconds * 1000},
                         {"prompt_ms", timings.prompt_seconds * 1000},
                         {"prompt_tokens_per_second", rate(n_evaluated, timings.prompt_seconds)},
                         {"generate_ms", timings.generate_seconds * 1000},
                         {"generated_tokens_per_second", rate(timings.n_generated - 1, timings.generate_seconds)}};
  if (timings.n_guessed > 0) {
    object["guessed_tokens"] = timings.n_guessed;
    object["guessed_tokens_right"] = timings.n_guessed_right;
  }
  return object;
}

ordered_json logprobs_json(const llm::Result& result, const llm::Tokenizer* tokenizer) {
  const auto text_of = [tokenizer](llm::TokenId id) {
    return tokenizer == nullptr ? std::string() : std::string(tokenizer->token_bytes(id));
  };
  ordered_json content = ordered_json::array();
  for (const llm::GeneratedToken& token : result.tokens) {
    ordered_json top = ordered_json::array();
    for (const llm::TokenLogprob& other : token.top) {
      const std::string bytes = text_of(other.id);
      top.push_back({{"token", bytes},
                     {"id", other.id},
                     {"logprob", other.logprob},
                     {"bytes", std::vector<std::uint8_t>(bytes.begin(), bytes.end())}});
    }
    const std::string bytes = text_of(token.id);
    content.push_back({{"token", bytes},
                       {"id", token.id},
                       {"logprob", token.logprob.value_or(0)},
                       {"bytes", std::vector<std::uint8_t>(bytes.begin(), bytes.end())},
                       {"top_logprobs", top}});
  }
  return {{"content", content}};
}

void note_timings(const Console& console, const llm::Timings& timings, double load_seconds) {
  const std::int64_t n_evaluated = timings.n_prompt - timings.n_cached;
  console.note(fmt::format("load {:.0f} ms, first token after {:.0f} ms", load_seconds * 1000,
                           (load_seconds + timings.prompt_seconds) * 1000));
  console.note(fmt::format("prompt {} tokens, {:.1f} tokens/s; generated {} tokens, {:.1f} tokens/s", timings.n_prompt,
                           rate(n_evaluated, timings.prompt_seconds), timings.n_generated,
                           rate(timings.n_generated - 1, timings.generate_seconds)));
  if (timings.n_guessed > 0) {
    console.note(fmt::format("guessed {} tokens, {} of them right", timings.n_guessed, timings.n_guessed_right));
  }
}

}  // namespace llmgen
