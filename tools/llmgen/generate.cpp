#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chat_prompt.h"
#include "clock.h"
#include "console.h"
#include "nearest_name.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "prompt_cache.h"
#include "report.h"
#include "translation.h"

namespace llmgen {

namespace {

constexpr const char* examples = R"(Examples:
  llmgen -m model.gguf -p "Once upon a time" -n 100
  llmgen -m model.gguf --chat -p "What is a hash table?"
  git log -5 | llmgen -m model.gguf --chat --system "Summarise in one line."
  llmgen -m model.gguf -f prompt.txt --temp 0 --json > answer.json
  llmgen -m model.gguf --chat -p "Name a colour." --choice red,green,blue
  llmgen inspect model.gguf
  llmgen batch -m model.gguf -i in.jsonl -o out.jsonl --resume

Exit codes: 0 done, 1 unexpected, 2 usage, 3 some inputs of a batch failed, 4 input or output, 5 bad or unsupported
model file, 6 does not fit in memory, 7 prompt longer than the context, 130 interrupted.
Every long option has an environment variable: LLMGEN_MODEL for --model, LLMGEN_TOP_K for --top-k.)";

struct GenerateFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  PromptFlags prompt;
  SamplingFlags sampling;
  ConstraintFlags constraint;
  ChatFlags chat;
  TranslationFlags translation;
  bool json = false;
  bool echo = false;
  SpeculationFlags speculation;
  std::string cache_file;
};

// A misspelt command must not become a prompt.
void check_words(const CLI::App& app, const std::string& words) {
  if (words.size() < 4 || words.find(' ') != std::string::npos) return;
  const std::string near = nearest_name(app, words, words.size() < 7 ? 1 : 2);
  if (near.empty()) return;
  throw llm::Error(
      llm::ErrorCode::usage,
      fmt::format("unknown command '{}' (did you mean {}?); a prompt of one such word needs -p", words, near));
}

// The prompt as ids: given ones, a chat rendered by the template, or plain text.
std::vector<llm::TokenId> prompt_ids(const CLI::App& app, const GenerateFlags& flags, const llm::Model& model,
                                     const Console& console) {
  if (prompt_is_ids(flags.prompt)) return parse_ids(flags.prompt.ids, "--prompt-ids");
  const std::string text = prompt_text(app, flags.prompt);
  if (wants_chat(flags.chat)) return chat_prompt(model, flags.chat, text);
  if (model.chat_template()) {
    console.note("llmgen: this model has a chat template; --chat applies it (this is a raw completion)");
  }
  return text_ids(model, text, flags.prompt.parse_special, flags.translation.source_lang,
                  flags.translation.target_lang);
}

nlohmann::ordered_json result_json(const GenerateFlags& flags, const llm::Model& model, const llm::Request& request,
                                   const std::vector<llm::TokenId>& prompt, const llm::Result& result,
                                   double load_seconds) {
  nlohmann::ordered_json object = {
      {"text", result.text},
      {"ids", result.ids},
      {"prompt_ids", prompt},
      {"finish_reason", llm::to_string(result.reason)},
      {"stop", result.stop_text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(result.stop_text)},
      {"seed", request.sampling.seed},
      {"model", model.info().name},
      {"usage", usage_json(result, prompt.size())},
      {"timings", timings_json(result.timings, load_seconds)}};
  if (request.beams.n > 1) object["beams"] = beams_json(result);
  if (request.n_logprobs > 0) object["logprobs"] = logprobs_json(result, model.tokenizer());
  if (wants_chat(flags.chat)) add_answer_parts(object, model, flags.chat, prompt, result);
  return object;
}

// -n is kept beyond the length that the model was trained for, where it can count that far and -c says nothing else.
void make_room(const GenerateFlags& flags, const llm::Model& model, const llm::Request& request,
               llm::EngineOptions& options) {
  const llm::ModelInfo& info = model.info();
  if (options.n_context > 0 || flags.sampling.app->count("--max-tokens") == 0 || info.n_context_train == 0) return;
  if (static_cast<std::int64_t>(request.prompt.size()) >= info.n_context_train) return;
  const std::size_t n_before = info.is_encoder_decoder ? 1 + request.decoder_prompt.size() : request.prompt.size();
  std::int64_t wanted = static_cast<std::int64_t>(n_before) + request.max_tokens;
  if (info.n_position_max > 0) wanted = std::min(wanted, info.n_position_max);
  if (wanted <= info.n_context_train || wanted > std::int64_t{1} << 30) return;
  const llm::MemoryPlan plan = model.plan(wanted, options.kv_type, options.max_sequences);
  if (plan.total <= plan.available) options.n_context = wanted;
}

int run_generate(const CLI::App& app, GenerateFlags& flags) {
  const Console console = console_of(flags.console);
  llm::Request request = request_of(flags.sampling);
  request.constraint = constraint_of(flags.constraint);
  set_speculation(flags.speculation, request);
  if (request.n_logprobs > 0 && !flags.json) console.warning("--logprobs is shown with --json only");
  check_chat_flags(flags.chat);
  check_words(app, flags.prompt.words);
  watch_interrupt();
  watch_termination();

  const auto start = Clock::now();
  const llm::Model model = load_model(flags.model, console);
  use_model_settings(flags.sampling, model, console, request.sampling);
  complete_request(app, flags.translation, model, request);
  request.prompt = prompt_ids(app, flags, model, console);
  const std::vector<llm::TokenId> prompt = request.prompt;
  llm::EngineOptions options = engine_options(flags.run);
  options.max_sequences = request.beams.n;
  make_room(flags, model, request, options);
  set_draft_model(flags.speculation, flags.model, console, options);
  llm::Engine engine(model, options);
  warn_beyond_training(engine.options(), model, console);
  PromptCache cache(flags.cache_file, engine, prompt, console);
  const double load_seconds = seconds_since(start);
  console.detail(fmt::format("seed {}; {} threads; context {}; {}", request.sampling.seed, engine.options().n_threads,
                             engine.options().n_context, format_bytes(engine.memory().total)));

  Output out;
  AnswerStream answer(model, flags.chat, request);
  if (flags.echo && !flags.json && model.tokenizer() != nullptr) out.text(model.tokenizer()->decode(prompt));
  CallbackGuard guard;
  request.on_token = [&](const llm::GeneratedToken& token) {
    return guard([&] {
      if (flags.json) return;
      out.text(answer.push(token.text));
      out.flush();
    });
  };

  std::optional<llm::Result> result;
  const llm::Engine::Ticket ticket = engine.submit(request, [&](llm::Result r) { result = std::move(r); });
  while (!result && engine.step()) {
    if (interrupted()) engine.cancel(ticket);
  }
  guard.rethrow();
  if (!result || result->reason == llm::FinishReason::error) {
    throw llm::Error(llm::ErrorCode::internal, result ? result->error : "the engine stopped without a result");
  }
  cache.save();
  if (flags.json) {
    out.line(dump(result_json(flags, model, request, prompt, *result, load_seconds)));
  } else {
    out.text(answer.finish());
    if (out.is_terminal()) out.text("\n");
  }
  out.flush();
  if (result->reason == llm::FinishReason::context) {
    console.note(fmt::format("llmgen: the context of {} tokens is full", engine.options().n_context));
  }
  note_timings(console, result->timings, load_seconds);
  return result->reason == llm::FinishReason::cancelled ? static_cast<int>(llm::ErrorCode::cancelled) : 0;
}

}  // namespace

void add_generate(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<GenerateFlags>();
  add_model_flags(app, flags->model);
  add_prompt_flags(app, flags->prompt);
  add_chat_flags(app, flags->chat);
  add_run_flags(app, flags->run);
  add_sampling_flags(app, flags->sampling);
  add_constraint_flags(app, flags->constraint);
  add_translation_flags(app, flags->translation);
  add_console_flags(app, flags->console);
  app.add_flag("--json", flags->json, "Print one JSON object: text, ids, prompt_ids, finish reason, timings")
      ->group("Output");
  app.add_flag("--echo", flags->echo, "Print the prompt before the answer")->group("Output");
  add_speculation_flags(app, flags->speculation);
  app.add_option("--cache-prompt", flags->cache_file,
                 "Keep the state after the prompt in this file, and begin from it when it fits; same text")
      ->type_name("FILE")
      ->group("Run");
  app.set_config("--config", "", "Read options from a file: lines of name=value")->group("Run")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(examples);
  add_environment(app);
  app.final_callback([&app, &program, flags] {
    if (!app.get_subcommands().empty()) return;
    program.json_errors = flags->json;
    program.run = [&app, flags] { return run_generate(app, *flags); };
  });
}

}  // namespace llmgen
