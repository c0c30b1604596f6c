#include <fmt/format.h>

#include <memory>

#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"

namespace llmgen {

namespace {

struct LogitsFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  PromptFlags prompt;
  std::string decoder_ids;
  std::string output;
  bool hidden = false;
};

int run_logits(const CLI::App& app, const LogitsFlags& flags) {
  const Console console = console_of(flags.console);
  if (flags.output.empty()) throw llm::Error(llm::ErrorCode::usage, "no output given: use -o FILE.safetensors");
  watch_interrupt();
  const llm::Model model = load_model(flags.model, console);
  std::vector<llm::TokenId> ids;
  if (prompt_is_ids(flags.prompt)) {
    ids = parse_ids(flags.prompt.ids, "--ids");
  } else {
    ids = tokenizer_of(model).encode(prompt_text(app, flags.prompt),
                                     {.add_special = true, .parse_special = flags.prompt.parse_special});
  }
  llm::EvaluateOptions options;
  options.engine = engine_options(flags.run);
  options.hidden = flags.hidden;
  if (!flags.decoder_ids.empty()) options.decoder_ids = parse_ids(flags.decoder_ids, "--decoder-ids");
  const llm::Evaluation evaluation = llm::evaluate(model, ids, options);
  evaluation.save_safetensors(flags.output);
  console.note(fmt::format("wrote {} positions to {}", evaluation.ids.size(), flags.output));
  return 0;
}

}  // namespace

void add_logits(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command =
      app.add_subcommand("logits", "Write the logits of every position of a text to a safetensors file");
  add_model_flags(*command, flags->model);
  add_prompt_flags(*command, flags->prompt);
  add_run_flags(*command, flags->run);
  add_console_flags(*command, flags->console);
  command->add_option("-o,--output", flags->output, "File to write")->type_name("FILE");
  command->add_option("--decoder-ids", flags->decoder_ids, "Target of an encoder-decoder; --ids is then the source")
      ->type_name("IDS");
  command->add_flag("--hidden", flags->hidden, "Write the residual stream of every layer too");
  add_environment(*command);
  command->callback(
      [command, &program, flags] { program.run = [command, flags] { return run_logits(*command, *flags); }; });
}

}  // namespace llmgen
