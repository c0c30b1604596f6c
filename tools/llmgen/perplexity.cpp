#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "clock.h"
#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "report.h"

namespace llmgen {

namespace {

struct PerplexityFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  PromptFlags prompt;
  bool json = false;
};

// The text is cut into chunks of the context size without overlap, each scored on its own. A chunk begins with the
// start token if the vocabulary adds one; the first token of a chunk is not predicted.
int run_perplexity(const CLI::App& app, const PerplexityFlags& flags) {
  const Console console = console_of(flags.console);
  watch_interrupt();
  const auto start = Clock::now();
  const llm::Model model = load_model(flags.model, console);
  std::vector<llm::TokenId> ids;
  std::vector<llm::TokenId> first;
  if (prompt_is_ids(flags.prompt)) {
    ids = parse_ids(flags.prompt.ids, "--ids");
  } else {
    const llm::Tokenizer& tokenizer = tokenizer_of(model);
    ids = tokenizer.encode(prompt_text(app, flags.prompt), {.parse_special = flags.prompt.parse_special});
    if (tokenizer.special().add_bos && tokenizer.special().bos) first.push_back(*tokenizer.special().bos);
  }
  llm::EngineOptions options = engine_options(flags.run);
  if (options.n_context == 0) options.n_context = std::min<std::int64_t>(512, model.info().n_context_train);
  llm::Engine engine(model, options);
  const auto chunk = static_cast<std::size_t>(options.n_context) - first.size();
  if (ids.size() + first.size() < 2)
    throw llm::Error(llm::ErrorCode::usage, "the text has fewer than two tokens: nothing is predicted");

  ProgressLine progress(console);
  double sum = 0;
  std::size_t n_predicted = 0;
  nlohmann::ordered_json per_chunk = nlohmann::ordered_json::array();
  for (std::size_t begin = 0; begin < ids.size(); begin += chunk) {
    if (interrupted()) return static_cast<int>(llm::ErrorCode::cancelled);
    const std::size_t end = std::min(ids.size(), begin + chunk);
    std::vector<llm::TokenId> prompt = first;
    std::size_t scored = begin;
    if (prompt.empty()) prompt.push_back(ids[scored++]);
    if (scored == end) break;
    const std::vector<llm::TokenId> completion(ids.begin() + static_cast<std::ptrdiff_t>(scored),
                                               ids.begin() + static_cast<std::ptrdiff_t>(end));
    const llm::ScoreResult score = engine.score(prompt, completion);
    sum += score.sum;
    n_predicted += completion.size();
    per_chunk.push_back(-score.sum / static_cast<double>(completion.size()));
    progress.show("scoring", static_cast<double>(end) / static_cast<double>(ids.size()));
  }
  progress.clear();
  const double nll = -sum / static_cast<double>(n_predicted);
  const double seconds = seconds_since(start);
  Output out;
  if (flags.json) {
    out.line(dump({{"perplexity", std::exp(nll)},
                   {"nll", nll},
                   {"tokens", n_predicted},
                   {"context", options.n_context},
                   {"per_chunk", per_chunk}}));
  } else {
    out.line(fmt::format("perplexity {:.4f}  (mean negative log-likelihood {:.6f} over {} tokens, context {})",
                         std::exp(nll), nll, n_predicted, options.n_context));
  }
  out.flush();
  console.note(fmt::format("{} tokens in {:.1f} s", ids.size(), seconds));
  return 0;
}

}  // namespace

void add_perplexity(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text");
  add_model_flags(*command, flags->model);
  add_prompt_flags(*command, flags->prompt);
  add_run_flags(*command, flags->run);
  add_console_flags(*command, flags->console);
  command->add_flag("--json", flags->json, "One JSON object");
  add_environment(*command);
  command->callback([command, &program, flags] {
    program.json_errors = flags->json;
    program.run = [command, flags] { return run_perplexity(*command, *flags); };
  });
}

}  // namespace llmgen
