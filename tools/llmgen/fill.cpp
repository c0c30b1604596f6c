#include <fmt/format.h>

#include <llm/fill.hpp>
#include <memory>

#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "report.h"

namespace llmgen {

namespace {

struct FillFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  PromptFlags prompt;
  int top = 5;
  bool json = false;
};

std::string text_of(const llm::Tokenizer& tokenizer, llm::TokenId id) {
  std::string text = tokenizer.decode(std::vector<llm::TokenId>{id}, true);
  const std::size_t at = text.find_first_not_of(' ');
  return at == std::string::npos ? text : text.substr(at);
}

void print_json(Output& out, const llm::Tokenizer& tokenizer, const std::vector<llm::FilledMask>& masks) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const llm::FilledMask& mask : masks) {
    nlohmann::ordered_json candidates = nlohmann::ordered_json::array();
    for (const llm::FillCandidate& c : mask.candidates) {
      candidates.push_back({{"id", c.id},
                            {"text", text_of(tokenizer, c.id)},
                            {"token", tokenizer.token_text(c.id)},
                            {"probability", c.probability},
                            {"logprob", c.logprob}});
    }
    all.push_back({{"position", mask.position}, {"candidates", candidates}});
  }
  out.line(dump({{"masks", all}}));
}

// Probability, tab, token; an empty line between masks.
void print_table(Output& out, const llm::Tokenizer& tokenizer, const std::vector<llm::FilledMask>& masks) {
  for (std::size_t i = 0; i < masks.size(); ++i) {
    if (i > 0) out.line("");
    for (const llm::FillCandidate& c : masks[i].candidates) {
      out.line(fmt::format("{:.4f}\t{}", c.probability, text_of(tokenizer, c.id)));
    }
  }
}

int run_fill(const CLI::App& app, const FillFlags& flags) {
  const Console console = console_of(flags.console);
  watch_interrupt();
  const llm::Model model = load_model(flags.model, console);
  const std::vector<llm::TokenId> ids = prompt_is_ids(flags.prompt)
                                            ? parse_ids(flags.prompt.ids, "--ids")
                                            : llm::encode_masked(model, prompt_text(app, flags.prompt));
  const std::vector<llm::FilledMask> masks =
      llm::fill(model, ids, {.engine = engine_options(flags.run), .top = flags.top});
  Output out;
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  if (flags.json) {
    print_json(out, tokenizer, masks);
  } else {
    print_table(out, tokenizer, masks);
  }
  out.flush();
  return 0;
}

}  // namespace

void add_fill(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<FillFlags>();
  CLI::App* command = app.add_subcommand("fill", "List the likeliest tokens for the masks of a text");
  add_model_flags(*command, flags->model);
  add_prompt_flags(*command, flags->prompt);
  command->add_option("--top", flags->top, "Candidates of each mask; 0: all")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print one JSON object");
  add_run_flags(*command, flags->run);
  add_console_flags(*command, flags->console);
  command->footer("Example: llmgen fill -m BERT -p \"Paris is the [MASK] of France.\"");
  add_environment(*command);
  command->callback(
      [command, &program, flags] { program.run = [command, flags] { return run_fill(*command, *flags); }; });
}

}  // namespace llmgen
