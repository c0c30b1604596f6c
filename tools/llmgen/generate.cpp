#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "chat_prompt.h"
#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
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
  int lookup = 0;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
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
  if (wants_chat(flags.chat)) add_answer_parts(object, model, flags.chat, result.text);
  return object;
}

int run_generate(const CLI::App& app, GenerateFlags& flags) {
  const Console console = console_of(flags.console);
  llm::Request request = request_of(flags.sampling);
  request.constraint = constraint_of(flags.constraint);
  request.lookup = flags.lookup;
  check_chat_flags(flags.chat);
  watch_interrupt();

  const auto start = Clock::now();
  const llm::Model model = load_model(flags.model, console);
  complete_request(app, flags.translation, model, request);
  request.prompt = prompt_ids(app, flags, model, console);
  const std::vector<llm::TokenId> prompt = request.prompt;
  llm::EngineOptions options = engine_options(flags.run);
  options.max_sequences = request.beams.n;
  llm::Engine engine(model, options);
  const double load_seconds = seconds_since(start);
  console.detail(fmt::format("seed {}; {} threads; context {}; {}", request.sampling.seed, engine.options().n_threads,
                             engine.options().n_context, format_bytes(engine.memory().total)));

  Output out;
  AnswerStream answer(model, flags.chat, request.constraint.has_value());
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
  if (flags.json) {
    out.line(dump(result_json(flags, model, request, prompt, *result, load_seconds)));
  } else {
    out.text(answer.finish());
    if (out.is_terminal()) out.text("\n");
  }
  out.flush();
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
  app.add_option("--lookup", flags->lookup,
                 "Guess up to N tokens from earlier text and check them at once; same text, faster on copying tasks")
      ->check(CLI::Range(0, 64))
      ->group("Run");
  app.set_config("--config", "", "Read options from a file: lines of name=value")->group("Run")->type_name("FILE");
  app.footer(examples);
  add_environment(app);
  app.final_callback([&app, &program, flags] {
    if (!app.get_subcommands().empty()) return;
    program.json_errors = flags->json;
    program.run = [&app, flags] { return run_generate(app, *flags); };
  });
}

}  // namespace llmgen
