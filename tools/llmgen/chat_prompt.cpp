#include "chat_prompt.h"

#include <fmt/format.h>

#include "options.h"
#include "report.h"

namespace llmgen {

using llm::Error;
using llm::ErrorCode;
using nlohmann::ordered_json;

void add_chat_flags(CLI::App& app, ChatFlags& flags) {
  app.add_flag("--chat", flags.chat, "Apply the model's chat template to the prompt")->group("Chat");
  app.add_option("--system", flags.system, "System message; turns --chat on")->group("Chat")->type_name("TEXT");
  app.add_option("--chat-template", flags.template_file, "Chat template from a file instead of the model's own")
      ->group("Chat")
      ->type_name("FILE");
  app.add_option("--template-name", flags.template_name, "Which of the model's templates to use")->group("Chat");
  app.add_option("--tools", flags.tools_file, "Tool definitions (a JSON array); turns --chat on")
      ->group("Chat")
      ->type_name("FILE");
  app.add_option("--template-vars", flags.variables,
                 "Further variables of the template, e.g. {\"enable_thinking\": false}")
      ->group("Chat")
      ->type_name("JSON");
  app.add_option("--reasoning", flags.reasoning, "Reasoning sections of an answer: show, hide or separate (in --json)")
      ->check(CLI::IsMember({"show", "hide", "separate"}))
      ->group("Chat")
      ->capture_default_str();
}

void check_chat_flags(const ChatFlags& flags) {
  if (!flags.variables.empty()) {
    const auto variables = nlohmann::json::parse(flags.variables, nullptr, false);
    if (!variables.is_object()) throw Error(ErrorCode::usage, "--template-vars: expected a JSON object");
  }
}

llm::ChatTemplate chat_template_of(const llm::Model& model, const ChatFlags& flags) {
  if (!flags.template_file.empty()) return llm::ChatTemplate(read_text(flags.template_file));
  const std::optional<std::string> source = model.chat_template(flags.template_name);
  if (!source) {
    if (!flags.template_name.empty()) {
      throw Error(ErrorCode::usage,
                  fmt::format("--template-name: the model has no chat template named '{}'", flags.template_name));
    }
    throw Error(ErrorCode::usage,
                "the model has no chat template: give one with --chat-template FILE, or leave --chat out");
  }
  return llm::ChatTemplate(*source);
}

namespace {

// Arguments of tool calls as objects, where messages have them as text, as OpenAI's interface does.
ordered_json with_argument_objects(ordered_json messages) {
  for (ordered_json& message : messages) {
    if (!message.is_object() || !message.contains("tool_calls") || !message["tool_calls"].is_array()) continue;
    for (ordered_json& call : message["tool_calls"]) {
      if (!call.is_object()) continue;
      ordered_json& function = call.contains("function") && call["function"].is_object() ? call["function"] : call;
      if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
      ordered_json parsed = ordered_json::parse(function["arguments"].get<std::string>(), nullptr, false);
      if (parsed.is_object()) function["arguments"] = std::move(parsed);
    }
  }
  return messages;
}

// Most templates write arguments as JSON or one by one and want objects; a few join them as text.
std::vector<llm::ChatSegment> render_messages(const llm::ChatTemplate& chat_template, const ordered_json& messages,
                                              const llm::ChatRenderOptions& options) {
  const ordered_json with_objects = with_argument_objects(messages);
  try {
    return chat_template.render_segments(dump(with_objects), options);
  } catch (const Error&) {
    if (with_objects == messages) throw;
    return chat_template.render_segments(dump(messages), options);
  }
}

}  // namespace

std::vector<llm::TokenId> render_ids(const llm::Model& model, const llm::ChatTemplate& chat_template,
                                     const ordered_json& messages, const ChatFlags& flags, bool add_generation_prompt) {
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  llm::ChatRenderOptions options;
  const llm::SpecialTokens& special = tokenizer.special();
  if (special.bos) options.bos_token = tokenizer.token_text(*special.bos);
  if (special.eos) options.eos_token = tokenizer.token_text(*special.eos);
  options.add_generation_prompt = add_generation_prompt;
  options.variables_json = flags.variables;
  options.tools_json = flags.tools_json;
  if (options.tools_json.empty() && !flags.tools_file.empty()) options.tools_json = read_text(flags.tools_file);

  const std::vector<llm::ChatSegment> segments = render_messages(chat_template, messages, options);
  std::vector<llm::TextPiece> pieces;
  pieces.reserve(segments.size());
  for (const llm::ChatSegment& segment : segments) pieces.push_back({segment.text, segment.from_template});
  std::vector<llm::TokenId> ids = tokenizer.encode_pieces(pieces, false);
  // Templates that do not write the start token rely on the vocabulary to add it; never twice.
  if (special.add_bos && special.bos && (ids.empty() || ids.front() != *special.bos))
    ids.insert(ids.begin(), *special.bos);
  return ids;
}

std::vector<llm::TokenId> chat_prompt(const llm::Model& model, const ChatFlags& flags, const std::string& user_text) {
  ordered_json messages = ordered_json::array();
  if (!flags.system.empty()) messages.push_back({{"role", "system"}, {"content", flags.system}});
  messages.push_back({{"role", "user"}, {"content", user_text}});
  return render_ids(model, chat_template_of(model, flags), messages, flags);
}

ordered_json tool_calls_json(const llm::ChatAnswer& answer) {
  ordered_json calls = ordered_json::array();
  for (const llm::ToolCall& call : answer.tool_calls) {
    // Most formats have no ids; answers to calls need one. Some templates insist on nine letters and digits.
    const std::string id = call.id.empty() ? fmt::format("call{:05}", calls.size() + 1) : call.id;
    calls.push_back(
        {{"id", id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments_json}}}});
  }
  return calls;
}

bool opens_reasoning(const llm::Model& model, const llm::ChatTemplate& chat_template,
                     const std::vector<llm::TokenId>& prompt) {
  return chat_template.opens_reasoning(tokenizer_of(model).decode(prompt, true));
}

llm::ChatAnswer parse_answer(const llm::Model& model, const llm::ChatTemplate& chat_template,
                             const std::vector<llm::TokenId>& prompt, const llm::Result& result) {
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  std::string text = tokenizer.decode(result.ids, true);
  // What was cut off for a stop string is cut off here too.
  const std::string plain = tokenizer.decode(result.ids);
  const std::size_t n_shown = std::min(result.text.size(), plain.size());
  if (plain.compare(0, n_shown, result.text) == 0)
    text.resize(text.size() - std::min(text.size(), plain.size() - n_shown));
  llm::ChatAnswer answer = chat_template.parse_answer(text, opens_reasoning(model, chat_template, prompt));
  if (answer.reasoning.empty() && answer.tool_calls.empty() && answer.content == text) answer.content = result.text;
  return answer;
}

void add_answer_parts(ordered_json& object, const llm::Model& model, const ChatFlags& flags,
                      const std::vector<llm::TokenId>& prompt, const llm::Result& result) {
  const llm::ChatAnswer answer = parse_answer(model, chat_template_of(model, flags), prompt, result);
  if (flags.reasoning != "show") object["text"] = answer.content;
  if (flags.reasoning == "separate") object["reasoning"] = answer.reasoning;
  if (!answer.tool_calls.empty()) {
    object["tool_calls"] = tool_calls_json(answer);
    if (object["finish_reason"] == "stop") object["finish_reason"] = "tool_calls";
  }
}

AnswerStream::AnswerStream(const llm::Model& model, const ChatFlags& flags, llm::Request& request) {
  hide_ = wants_chat(flags) && flags.reasoning != "show" && !request.constraint;
  if (!hide_) return;
  template_ = chat_template_of(model, flags);
  in_reasoning_ = opens_reasoning(model, *template_, request.prompt);
  request.special = true;
}

// What of the content is certain: everything but a tail that may still become the opening of a reasoning section.
std::string AnswerStream::push(std::string_view text) {
  if (!hide_) return std::string(text);
  text_ += text;
  const std::string content = template_->parse_answer(text_, in_reasoning_).content;
  const std::size_t open = content.find_last_of("<[|");
  const std::size_t certain = open != std::string::npos && content.size() - open < 24 ? open : content.size();
  if (certain <= shown_) return {};
  std::string fresh = content.substr(shown_, certain - shown_);
  shown_ = certain;
  return fresh;
}

std::string AnswerStream::finish() {
  if (!hide_) return {};
  const std::string content = template_->parse_answer(text_, in_reasoning_).content;
  return content.size() > shown_ ? content.substr(shown_) : std::string();
}

}  // namespace llmgen
