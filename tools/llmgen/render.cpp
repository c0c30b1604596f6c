#include <fmt/format.h>

#include <iostream>
#include <istream>
#include <llm/llm.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "report.h"

namespace llmgen {

namespace {

using llm::Error;
using llm::ErrorCode;
using nlohmann::ordered_json;

struct RenderFlags {
  std::string model, template_file, template_name, messages_file, tools_file, variables, now;
  std::optional<std::string> bos_token, eos_token;
  bool no_generation_prompt = false, jsonl = false;
};

// A template that cannot be run is what this command is asked about: its own exit code.
[[noreturn]] void fail_rendering(const Error& error) {
  throw Error(ErrorCode::io, error.message());
}

llm::ChatTemplate template_of_model(const RenderFlags& flags, llm::ChatRenderOptions& options) {
  const llm::Model model = llm::Model::load(flags.model);
  const std::optional<std::string> source = model.chat_template(flags.template_name);
  if (!source) {
    throw Error(ErrorCode::usage,
                flags.template_name.empty()
                    ? "the model has no chat template: give one with --template FILE"
                    : fmt::format("--template-name: the model has no chat template named '{}'", flags.template_name));
  }
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  const llm::SpecialTokens& special = tokenizer.special();
  if (special.bos) options.bos_token = tokenizer.token_text(*special.bos);
  if (special.eos) options.eos_token = tokenizer.token_text(*special.eos);
  try {
    return llm::ChatTemplate(*source);
  } catch (const Error& error) {
    fail_rendering(error);
  }
}

llm::ChatTemplate template_of(const RenderFlags& flags, llm::ChatRenderOptions& options) {
  if (flags.template_file.empty()) return template_of_model(flags, options);
  const std::string source = read_text(flags.template_file);
  try {
    return llm::ChatTemplate(source);
  } catch (const Error& error) {
    fail_rendering(error);
  }
}

int render_one(const RenderFlags& flags) {
  if (flags.model.empty() == flags.template_file.empty()) {
    throw Error(ErrorCode::usage, "give either a model with -m or a template with --template");
  }
  if (flags.messages_file.empty()) throw Error(ErrorCode::usage, "no messages given: use --messages FILE.json");
  llm::ChatRenderOptions options;
  const llm::ChatTemplate chat = template_of(flags, options);
  if (flags.bos_token) options.bos_token = *flags.bos_token;
  if (flags.eos_token) options.eos_token = *flags.eos_token;
  options.add_generation_prompt = !flags.no_generation_prompt;
  options.variables_json = flags.variables;
  options.now = flags.now;
  if (!flags.tools_file.empty()) options.tools_json = read_text(flags.tools_file);
  const std::string messages = read_text(flags.messages_file);
  std::string text;
  try {
    text = chat.render(messages, options);
  } catch (const Error& error) {
    fail_rendering(error);
  }
  Output out;
  out.text(text);
  out.flush();
  return 0;
}

std::string text_field(const ordered_json& object, const char* name) {
  if (!object.contains(name) || object[name].is_null()) return {};
  if (!object[name].is_string()) throw Error(ErrorCode::usage, fmt::format("\"{}\": expected a string", name));
  return object[name].get<std::string>();
}

std::string json_field(const ordered_json& object, const char* name) {
  return object.contains(name) && !object[name].is_null() ? dump(object[name]) : std::string();
}

// One case: a template with a conversation, or with variables alone.
std::string render_case(const ordered_json& object) {
  if (!object.is_object()) throw Error(ErrorCode::usage, "expected a JSON object");
  std::string source;
  if (object.contains("template")) {
    source = text_field(object, "template");
  } else if (object.contains("template_file")) {
    source = read_text(text_field(object, "template_file"));
  } else {
    throw Error(ErrorCode::usage, "expected \"template\" or \"template_file\"");
  }
  const llm::ChatTemplate chat(source);
  if (!object.contains("messages")) {
    return chat.render_variables(json_field(object, "variables"), text_field(object, "now"));
  }
  llm::ChatRenderOptions options;
  options.tools_json = json_field(object, "tools");
  options.variables_json = json_field(object, "variables");
  options.bos_token = text_field(object, "bos_token");
  options.eos_token = text_field(object, "eos_token");
  options.now = text_field(object, "now");
  if (object.contains("add_generation_prompt")) {
    if (!object["add_generation_prompt"].is_boolean()) {
      throw Error(ErrorCode::usage, "\"add_generation_prompt\": expected true or false");
    }
    options.add_generation_prompt = object["add_generation_prompt"].get<bool>();
  }
  return chat.render(json_field(object, "messages"), options);
}

int render_lines() {
  Output out;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    ordered_json result;
    try {
      const ordered_json object = ordered_json::parse(line, nullptr, false);
      if (object.is_discarded()) throw Error(ErrorCode::usage, "the line is not JSON");
      result["text"] = render_case(object);
    } catch (const Error& error) {
      result["error"] = error.message();
    }
    out.line(dump(result));
    out.flush();
  }
  return 0;
}

}  // namespace

void add_render(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<RenderFlags>();
  CLI::App* command = app.add_subcommand("render", "Show the text that a chat template gives");
  command->add_option("-m,--model", flags->model, "Model whose template is used")->type_name("FILE");
  command->add_option("--template", flags->template_file, "Template from a file")->type_name("FILE");
  command->add_option("--template-name", flags->template_name, "Which of the model's templates to use");
  command->add_option("--messages", flags->messages_file, "Messages: a JSON array")->type_name("FILE");
  command->add_option("--tools", flags->tools_file, "Tool definitions: a JSON array")->type_name("FILE");
  command->add_option("--vars", flags->variables, "Further variables of the template: a JSON object")
      ->type_name("JSON");
  command->add_option("--bos-token", flags->bos_token, "Text of bos_token")->type_name("TEXT");
  command->add_option("--eos-token", flags->eos_token, "Text of eos_token")->type_name("TEXT");
  command->add_option("--now", flags->now, "What strftime_now shows, e.g. 2026-07-14T09:05:03")->type_name("TIME");
  command->add_flag("--no-generation-prompt", flags->no_generation_prompt, "Without the beginning of an answer");
  command->add_flag("--jsonl", flags->jsonl, "One case a line from standard input, one result a line");
  command->footer(
      "With --jsonl each line has \"template\" or \"template_file\", and \"messages\", \"tools\", "
      "\"add_generation_prompt\", \"bos_token\", \"eos_token\", \"variables\", \"now\"; the answer is {\"text\": ...} "
      "or "
      "{\"error\": ...}.\nA template that fails ends the command with exit code 4.");
  command->callback(
      [&program, flags] { program.run = [flags] { return flags->jsonl ? render_lines() : render_one(*flags); }; });
}

}  // namespace llmgen
