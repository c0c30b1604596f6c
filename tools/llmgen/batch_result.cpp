#include "batch_result.h"

#include <fmt/format.h>

#include <algorithm>

#include "report.h"

namespace llmgen {

using nlohmann::ordered_json;

namespace {

ordered_json base(std::uint64_t index, const Record& record) {
  ordered_json object = {{"index", index}};
  for (const auto& [field, value] : record.carried.items()) object[field] = value;
  return object;
}

ordered_json openai_line(std::uint64_t index, const Record& record, ordered_json body) {
  if (!record.warnings.empty()) body["llmgen"] = {{"warnings", record.warnings}};
  return {{"index", index},
          {"id", fmt::format("batch_req_{}", index)},
          {"custom_id", record.custom_id},
          {"response", {{"status_code", 200}, {"request_id", fmt::format("req_{}", index)}, {"body", std::move(body)}}},
          {"error", nullptr}};
}

ordered_json openai_body(std::uint64_t index, const Record& record, const std::vector<llm::Result>& results,
                         const ResultRules& rules, const llm::Model& model) {
  const bool chat = record.url == "/v1/chat/completions";
  ordered_json choices = ordered_json::array();
  std::size_t n_completion = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const llm::Result& result = results[i];
    n_completion += result.ids.size();
    ordered_json choice = {{"index", i}};
    std::string reason(llm::to_string(result.reason));
    if (reason == "context") reason = "length";
    if (chat) {
      const llm::ChatAnswer answer = chat_template_of(model, rules.chat).parse_answer(result.text);
      choice["message"] = {{"role", "assistant"}, {"content", answer.content}};
      if (!answer.reasoning.empty()) choice["message"]["reasoning_content"] = answer.reasoning;
      if (!answer.tool_calls.empty()) {
        choice["message"]["tool_calls"] = tool_calls_json(answer);
        if (reason == "stop") reason = "tool_calls";
      }
    } else {
      choice["text"] = result.text;
    }
    choice["logprobs"] = record.request.n_logprobs > 0 ? logprobs_json(result, model.tokenizer()) : ordered_json();
    choice["finish_reason"] = reason;
    choices.push_back(std::move(choice));
  }
  const std::size_t n_prompt = record.request.prompt.size();
  return {
      {"id", fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", index)},
      {"object", chat ? "chat.completion" : "text_completion"},
      {"created", 0},
      {"model", record.model_name},
      {"choices", std::move(choices)},
      {"usage",
       {{"prompt_tokens", n_prompt}, {"completion_tokens", n_completion}, {"total_tokens", n_prompt + n_completion}}}};
}

}  // namespace

ordered_json generated_json(std::uint64_t index, const Record& record, const std::vector<llm::Result>& results,
                            const ResultRules& rules, const llm::Model& model) {
  if (record.openai) return openai_line(index, record, openai_body(index, record, results, rules, model));
  const llm::Result& result = results.front();
  ordered_json object = base(index, record);
  object["text"] = result.text;
  if (rules.ids) object["ids"] = result.ids;
  object["finish_reason"] = llm::to_string(result.reason);
  if (!result.beams.empty()) object["score"] = result.beams.front().score;
  if (record.chat) add_answer_parts(object, model, rules.chat, result.text);
  const std::size_t n_prompt = record.request.prompt.size();
  object["usage"] = {{"prompt_tokens", n_prompt},
                     {"completion_tokens", result.ids.size()},
                     {"total_tokens", n_prompt + result.ids.size()}};
  object["seed"] = record.request.sampling.seed;
  if (record.request.n_logprobs > 0) object["logprobs"] = logprobs_json(result, model.tokenizer());
  if (rules.timings) {
    object["timings"] = timings_json(result.timings, 0);
    object["timings"].erase("load_ms");
    object["timings"]["cached_tokens"] = result.timings.n_cached;
  }
  return object;
}

ordered_json score_json(std::uint64_t index, const Record& record, const llm::ScoreResult& score) {
  ordered_json object = base(index, record);
  object["ids"] = record.completion;
  object["logprobs"] = score.logprobs;
  object["sum"] = score.sum;
  object["per_token"] = score.sum / static_cast<double>(std::max<std::size_t>(1, score.logprobs.size()));
  object["greedy"] = std::all_of(score.greedy.begin(), score.greedy.end(), [](bool b) { return b; });
  return object;
}

ordered_json choices_json(std::uint64_t index, const Record& record, const std::vector<llm::ScoreResult>& scores) {
  ordered_json list = ordered_json::array();
  std::size_t best[3] = {0, 0, 0};
  std::vector<std::array<double, 3>> values;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double sum = scores[i].sum;
    const auto n_tokens = static_cast<double>(std::max<std::size_t>(1, record.choice_ids[i].size()));
    const auto n_bytes = static_cast<double>(std::max<std::size_t>(1, record.choices[i].size()));
    values.push_back({sum, sum / n_tokens, sum / n_bytes});
    for (std::size_t k = 0; k < 3; ++k) {
      if (values[i][k] > values[best[k]][k]) best[k] = i;
    }
    list.push_back(
        {{"text", record.choices[i]}, {"sum", values[i][0]}, {"per_token", values[i][1]}, {"per_byte", values[i][2]}});
  }
  ordered_json object = base(index, record);
  object["best"] = record.choices[best[0]];
  object["best_per_token"] = record.choices[best[1]];
  object["best_per_byte"] = record.choices[best[2]];
  object["choices"] = std::move(list);
  return object;
}

ordered_json embedding_json(std::uint64_t index, const Record& record, const std::vector<float>& embedding,
                            const llm::Model& model) {
  const std::size_t n_prompt = record.request.prompt.size();
  const ordered_json usage = {{"prompt_tokens", n_prompt}, {"total_tokens", n_prompt}};
  if (record.openai) {
    return openai_line(index, record,
                       {{"object", "list"},
                        {"data", {{{"object", "embedding"}, {"index", 0}, {"embedding", embedding}}}},
                        {"model", record.model_name.empty() ? model.info().name : record.model_name},
                        {"usage", usage}});
  }
  ordered_json object = base(index, record);
  object["embedding"] = embedding;
  object["usage"] = usage;
  return object;
}

ordered_json error_json(std::uint64_t index, const ordered_json& carried, bool openai, llm::ErrorCode code,
                        const std::string& field, const std::string& message) {
  ordered_json error = {{"code", static_cast<int>(code)},
                        {"field", field.empty() ? ordered_json() : ordered_json(field)},
                        {"message", message}};
  if (openai) {
    const ordered_json body = {{"error",
                                {{"message", message},
                                 {"type", "invalid_request_error"},
                                 {"param", field.empty() ? ordered_json() : ordered_json(field)},
                                 {"code", nullptr}}}};
    return {{"index", index},
            {"id", fmt::format("batch_req_{}", index)},
            {"custom_id", carried.value("custom_id", ordered_json())},
            {"response", {{"status_code", 400}, {"request_id", fmt::format("req_{}", index)}, {"body", body}}},
            {"error", nullptr}};
  }
  ordered_json object = {{"index", index}};
  for (const auto& [name, value] : carried.items()) object[name] = value;
  object["error"] = std::move(error);
  return object;
}

}  // namespace llmgen
