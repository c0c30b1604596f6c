#include "batch_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "report.h"

namespace llmgen {

using nlohmann::ordered_json;

namespace {

constexpr int status_ok = 200, status_bad_request = 400, status_internal = 500;

ordered_json result_line(std::uint64_t index, const ordered_json& carried, const ordered_json& ours) {
  ordered_json object = {{"index", index}};
  ordered_json hidden = ordered_json::object();
  for (const auto& [field, value] : carried.items()) {
    const bool is_taken = field == "index" || field == "input" || ours.contains(field);
    (is_taken ? hidden : object)[field] = value;
  }
  for (const auto& [field, value] : ours.items()) object[field] = value;
  if (!hidden.empty()) object["input"] = std::move(hidden);
  return object;
}

ordered_json openai_line(std::uint64_t index, const ordered_json& custom_id, int status, ordered_json body) {
  return {
      {"index", index},
      {"id", fmt::format("batch_req_{}", index)},
      {"custom_id", custom_id},
      {"response", {{"status_code", status}, {"request_id", fmt::format("req_{}", index)}, {"body", std::move(body)}}},
      {"error", nullptr}};
}

ordered_json openai_answer(std::uint64_t index, const Record& record, ordered_json body) {
  if (!record.warnings.empty()) body["llmgen"] = {{"warnings", record.warnings}};
  return openai_line(index, record.custom_id, status_ok, std::move(body));
}

// The parallel arrays of /v1/completions.
ordered_json completion_logprobs(const llm::Result& result, const llm::Tokenizer* tokenizer) {
  const auto text_of = [tokenizer](llm::TokenId id) {
    return tokenizer == nullptr ? fmt::format("token_id:{}", id) : std::string(tokenizer->token_bytes(id));
  };
  ordered_json tokens = ordered_json::array(), values = ordered_json::array(), tops = ordered_json::array(),
               offsets = ordered_json::array();
  std::size_t offset = 0;  // in characters
  for (const llm::GeneratedToken& token : result.tokens) {
    const std::string text = text_of(token.id);
    tokens.push_back(text);
    values.push_back(token.logprob.value_or(0));
    ordered_json top = ordered_json::object();
    for (const llm::TokenLogprob& other : token.top) top[text_of(other.id)] = other.logprob;
    tops.push_back(token.top.empty() ? ordered_json() : std::move(top));
    offsets.push_back(offset);
    offset += static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

ordered_json chat_message(const llm::ChatAnswer& answer) {
  ordered_json message = {{"role", "assistant"}, {"content", answer.content}};
  if (!answer.reasoning.empty()) message["reasoning_content"] = answer.reasoning;
  if (!answer.tool_calls.empty()) {
    if (answer.content.empty()) message["content"] = nullptr;
    message["tool_calls"] = tool_calls_json(answer);
  }
  return message;
}

ordered_json openai_choice(std::size_t i, const Record& record, const llm::Result& result, const ResultRules& rules,
                           const llm::Model& model) {
  ordered_json choice = {{"index", i}};
  std::string reason(llm::to_string(result.reason));
  if (reason == "context") reason = "length";
  if (record.chat) {
    const std::size_t prompt = i / static_cast<std::size_t>(record.n_choices);
    const llm::ChatAnswer answer = parse_answer(model, *rules.chat_template, record.prompts[prompt], result);
    choice["message"] = chat_message(answer);
    if (!answer.tool_calls.empty() && reason == "stop") reason = "tool_calls";
  } else {
    choice["text"] =
        record.echo.empty() ? result.text : record.echo[i / static_cast<std::size_t>(record.n_choices)] + result.text;
  }
  choice["logprobs"] = nullptr;
  if (record.request.n_logprobs > 0) {
    choice["logprobs"] =
        record.chat ? logprobs_json(result, model.tokenizer()) : completion_logprobs(result, model.tokenizer());
  }
  choice["finish_reason"] = reason;
  return choice;
}

std::size_t n_answer_tokens(const std::vector<llm::Result>& results) {
  std::size_t n = 0;
  for (const llm::Result& result : results) n += result.ids.size();
  return n;
}

ordered_json usage_of(std::size_t n_prompt, std::size_t n_answer) {
  return {{"prompt_tokens", n_prompt}, {"completion_tokens", n_answer}, {"total_tokens", n_prompt + n_answer}};
}

ordered_json openai_body(std::uint64_t index, const Record& record, const std::vector<llm::Result>& results,
                         const ResultRules& rules, const llm::Model& model) {
  ordered_json choices = ordered_json::array();
  for (std::size_t i = 0; i < results.size(); ++i)
    choices.push_back(openai_choice(i, record, results[i], rules, model));
  return {{"id", fmt::format("{}-{}", record.chat ? "chatcmpl" : "cmpl", index)},
          {"object", record.chat ? "chat.completion" : "text_completion"},
          {"created", 0},
          {"model", record.model_name},
          {"choices", std::move(choices)},
          {"usage", usage_of(record.n_prompt_tokens(), n_answer_tokens(results))}};
}

ordered_json answer_fields(const Record& record, const llm::Result& result, const ResultRules& rules,
                           const llm::Model& model) {
  ordered_json ours = {{"text", result.text}};
  if (rules.ids) ours["ids"] = result.ids;
  ours["finish_reason"] = llm::to_string(result.reason);
  if (!result.beams.empty()) ours["score"] = result.beams.front().score;
  if (record.chat) {
    const llm::ChatAnswer answer = parse_answer(model, *rules.chat_template, record.prompts[0], result);
    if (rules.reasoning != "show") ours["text"] = answer.content;
    if (rules.reasoning == "separate") ours["reasoning"] = answer.reasoning;
    if (!answer.tool_calls.empty()) {
      ours["tool_calls"] = tool_calls_json(answer);
      if (result.reason == llm::FinishReason::stop) ours["finish_reason"] = "tool_calls";
    }
  }
  ours["usage"] = usage_of(record.n_prompt_tokens(), result.ids.size());
  ours["seed"] = record.request.sampling.seed;
  if (record.request.n_logprobs > 0) ours["logprobs"] = logprobs_json(result, model.tokenizer());
  if (rules.timings) {
    ours["timings"] = timings_json(result.timings, 0);
    ours["timings"].erase("load_ms");
    ours["timings"]["cached_tokens"] = result.timings.n_cached;
  }
  return ours;
}

// Little-endian float32, in base64.
std::string base64_of(const std::vector<float>& values) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned char> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k) word = word << 8 | (k < n ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? digits[word >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

}  // namespace

ordered_json generated_json(std::uint64_t index, const Record& record, std::vector<llm::Result>& results,
                            const ResultRules& rules, const llm::Model& model) {
  const auto n_top = static_cast<std::size_t>(record.n_top_logprobs);
  for (llm::Result& result : results) {
    for (llm::GeneratedToken& token : result.tokens) token.top.resize(std::min(token.top.size(), n_top));
  }
  if (record.openai) return openai_answer(index, record, openai_body(index, record, results, rules, model));
  return result_line(index, record.carried, answer_fields(record, results.front(), rules, model));
}

ordered_json score_json(std::uint64_t index, const Record& record, const llm::ScoreResult& score) {
  const std::vector<llm::TokenId>& ids = record.completions[0];
  const ordered_json ours = {
      {"ids", ids},
      {"logprobs", score.logprobs},
      {"sum", score.sum},
      {"per_token", score.sum / static_cast<double>(std::max<std::size_t>(1, score.logprobs.size()))},
      {"greedy", std::all_of(score.greedy.begin(), score.greedy.end(), [](bool b) { return b; })},
      {"usage", usage_of(record.n_prompt_tokens(), ids.size())}};
  return result_line(index, record.carried, ours);
}

ordered_json choices_json(std::uint64_t index, const Record& record, const std::vector<llm::ScoreResult>& scores) {
  ordered_json list = ordered_json::array();
  std::array<std::size_t, 3> best = {0, 0, 0};
  std::vector<std::array<double, 3>> values;
  std::size_t n_scored = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double sum = scores[i].sum;
    const auto n_tokens = static_cast<double>(std::max<std::size_t>(1, record.completions[i].size()));
    const auto n_bytes = static_cast<double>(std::max<std::size_t>(1, record.choices[i].size()));
    values.push_back({sum, sum / n_tokens, sum / n_bytes});
    for (std::size_t k = 0; k < best.size(); ++k) {
      if (values[i][k] > values[best[k]][k]) best[k] = i;
    }
    list.push_back(
        {{"text", record.choices[i]},
         {"sum", values[i][0]},
         {"per_token", values[i][1]},
         {"per_byte", values[i][2]},
         {"greedy", std::all_of(scores[i].greedy.begin(), scores[i].greedy.end(), [](bool b) { return b; })}});
    n_scored += record.completions[i].size();
  }
  const ordered_json ours = {{"best", record.choices[best[0]]},
                             {"best_per_token", record.choices[best[1]]},
                             {"best_per_byte", record.choices[best[2]]},
                             {"choices", std::move(list)},
                             {"usage", usage_of(record.n_prompt_tokens(), n_scored)}};
  return result_line(index, record.carried, ours);
}

ordered_json embedding_json(std::uint64_t index, const Record& record, const std::vector<llm::EmbedResult>& results,
                            const llm::Model& model) {
  const std::size_t n_prompt = record.n_prompt_tokens();
  const ordered_json usage = {{"prompt_tokens", n_prompt}, {"total_tokens", n_prompt}};
  if (!record.openai)
    return result_line(index, record.carried, {{"embedding", results.front().values}, {"usage", usage}});
  ordered_json data = ordered_json::array();
  for (std::size_t i = 0; i < results.size(); ++i) {
    ordered_json item = {{"object", "embedding"}, {"index", i}};
    if (record.base64) {
      item["embedding"] = base64_of(results[i].values);
    } else {
      item["embedding"] = results[i].values;
    }
    data.push_back(std::move(item));
  }
  return openai_answer(index, record,
                       {{"object", "list"},
                        {"data", std::move(data)},
                        {"model", record.model_name.empty() ? model.info().name : record.model_name},
                        {"usage", usage}});
}

ordered_json error_json(std::uint64_t index, const LineError& error) {
  const ordered_json field = error.field.empty() ? ordered_json() : ordered_json(error.field);
  const bool is_ours = error.code == llm::ErrorCode::internal || error.code == llm::ErrorCode::memory;
  if (error.identity.openai) {
    const ordered_json body = {{"error",
                                {{"message", error.message},
                                 {"type", is_ours ? "server_error" : "invalid_request_error"},
                                 {"param", field},
                                 {"code", nullptr}}}};
    return openai_line(index, error.identity.carried.value("custom_id", ordered_json()),
                       is_ours ? status_internal : status_bad_request, body);
  }
  return result_line(
      index, error.identity.carried,
      {{"error", {{"code", static_cast<int>(error.code)}, {"field", field}, {"message", error.message}}}});
}

bool is_failure(const nlohmann::json& result) {
  if (!result.is_object()) return false;
  if (const auto response = result.find("response"); response != result.end() && response->is_object())
    return response->value("status_code", status_ok) != status_ok;
  const auto error = result.find("error");
  return error != result.end() && error->is_object() && error->contains("message") && !result.contains("usage");
}

}  // namespace llmgen
