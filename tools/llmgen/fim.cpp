#include <fmt/format.h>

#include <memory>

#include "console.h"
#include "options.h"
#include "program.h"
#include "report.h"

namespace llmgen {

namespace {

struct FimFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  SamplingFlags sampling;
  std::string prefix, suffix, file, marker = "<FILL>";
  bool json = false;
};

// The code before and after the place to fill.
std::pair<std::string, std::string> parts(const FimFlags& flags) {
  using llm::Error;
  using llm::ErrorCode;
  if (flags.file.empty()) {
    if (flags.prefix.empty())
      throw Error(ErrorCode::usage,
                  "nothing to complete: use --prefix FILE and --suffix FILE, or -f FILE with a marker");
    return {read_text(flags.prefix), flags.suffix.empty() ? std::string() : read_text(flags.suffix)};
  }
  if (!flags.prefix.empty() || !flags.suffix.empty())
    throw Error(ErrorCode::usage, "-f excludes --prefix and --suffix");
  const std::string text = read_text(flags.file);
  const std::size_t at = text.find(flags.marker);
  if (at == std::string::npos)
    throw Error(ErrorCode::io, fmt::format("{} does not contain the marker {}", flags.file, flags.marker));
  return {text.substr(0, at), text.substr(at + flags.marker.size())};
}

// prefix-suffix-middle order, with the vocabulary's own tokens; the code itself is plain text.
std::vector<llm::TokenId> fim_prompt(const llm::Tokenizer& tokenizer, const std::string& prefix,
                                     const std::string& suffix) {
  const llm::SpecialTokens& special = tokenizer.special();
  if (!special.fim_prefix || !special.fim_suffix || !special.fim_middle) {
    throw llm::Error(llm::ErrorCode::model,
                     "the vocabulary has no fill-in-the-middle tokens: this model cannot complete code in the middle");
  }
  std::vector<llm::TokenId> ids;
  if (special.add_bos && special.bos) ids.push_back(*special.bos);
  const auto append = [&](llm::TokenId control, const std::string& text) {
    ids.push_back(control);
    const auto part = tokenizer.encode(text);
    ids.insert(ids.end(), part.begin(), part.end());
  };
  append(*special.fim_prefix, prefix);
  append(*special.fim_suffix, suffix);
  ids.push_back(*special.fim_middle);
  return ids;
}

int run_fim(FimFlags& flags) {
  const Console console = console_of(flags.console);
  llm::Request request = request_of(flags.sampling);
  const auto [prefix, suffix] = parts(flags);
  watch_interrupt();
  const llm::Model model = load_model(flags.model, console);
  use_model_settings(flags.sampling, model, console, request.sampling);
  request.prompt = fim_prompt(tokenizer_of(model), prefix, suffix);
  const std::vector<llm::TokenId> prompt = request.prompt;
  llm::Engine engine(model, engine_options(flags.run));
  Output out;
  CallbackGuard guard;
  request.on_token = [&](const llm::GeneratedToken& token) {
    return guard([&] {
      if (flags.json) return;
      out.text(token.text);
      out.flush();
    });
  };
  const llm::Result result = engine.generate(request);
  guard.rethrow();
  if (result.reason == llm::FinishReason::error) throw llm::Error(llm::ErrorCode::internal, result.error);
  if (flags.json) {
    nlohmann::ordered_json object = {{"text", result.text},
                                     {"ids", result.ids},
                                     {"finish_reason", llm::to_string(result.reason)},
                                     {"seed", request.sampling.seed},
                                     {"usage", usage_json(result, prompt.size())},
                                     {"timings", timings_json(result.timings, 0)}};
    if (request.n_logprobs > 0) object["logprobs"] = logprobs_json(result, model.tokenizer());
    out.line(dump(object));
  }
  out.flush();
  note_timings(console, result.timings, 0);
  return result.reason == llm::FinishReason::cancelled ? static_cast<int>(llm::ErrorCode::cancelled) : 0;
}

}  // namespace

void add_fim(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<FimFlags>();
  CLI::App* command = app.add_subcommand("fim", "Complete code in the middle of a file");
  add_model_flags(*command, flags->model);
  command->add_option("--prefix", flags->prefix, "File with the code before the place to fill")->type_name("FILE");
  command->add_option("--suffix", flags->suffix, "File with the code after it")->type_name("FILE");
  command->add_option("-f,--file", flags->file, "One file with a marker at the place to fill; - is standard input")
      ->type_name("FILE");
  command->add_option("--marker", flags->marker, "The marker")->capture_default_str();
  command->add_flag("--json", flags->json, "Print one JSON object");
  add_run_flags(*command, flags->run);
  add_sampling_flags(*command, flags->sampling);
  add_console_flags(*command, flags->console);
  add_environment(*command);
  command->callback([&program, flags] {
    program.json_errors = flags->json;
    program.run = [flags] { return run_fim(*flags); };
  });
}

}  // namespace llmgen
