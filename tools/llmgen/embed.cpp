#include <fmt/format.h>

#include <memory>

#include "batch_input.h"
#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "report.h"

namespace llmgen {

namespace {

struct EmbedFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  PromptFlags prompt;
  std::string pooling, format = "json";
  int parallel = 16;
  bool normalize = true;
};

// Texts to embed: -p, a whole file, given ids, or every line of standard input.
std::vector<std::vector<llm::TokenId>> inputs(const CLI::App& app, const EmbedFlags& flags, const llm::Model& model) {
  if (prompt_is_ids(flags.prompt)) return {parse_ids(flags.prompt.ids, "--ids")};
  const llm::EncodeOptions options{.add_special = true, .parse_special = flags.prompt.parse_special};
  const llm::Tokenizer& tokenizer = tokenizer_of(model);
  if (app.count("--prompt") > 0 || app.count("text") > 0 || !flags.prompt.file.empty())
    return {tokenizer.encode(prompt_text(app, flags.prompt), options)};
  if (stdin_is_terminal()) throw llm::Error(llm::ErrorCode::usage, "no text: use -p TEXT or -f FILE, or pipe lines in");
  std::vector<std::vector<llm::TokenId>> texts;
  LineReader reader("-");
  while (!reader.at_end()) {
    const std::optional<LineReader::Line> line = reader.next(true);
    if (!line) continue;
    if (line->too_long)
      throw llm::Error(llm::ErrorCode::io, fmt::format("line {} is longer than 64 MiB", line->number));
    texts.push_back(tokenizer.encode(line->text, options));
  }
  return texts;
}

void print(Output& out, const EmbedFlags& flags, std::size_t index, std::size_t width,
           const std::vector<float>& values) {
  if (flags.format == "raw") {
    out.text(std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
  } else if (values.size() == width) {
    out.line(dump({{"index", index}, {"embedding", values}}));
  } else {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i + width <= values.size(); i += width) {
      rows.push_back(std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(i),
                                        values.begin() + static_cast<std::ptrdiff_t>(i + width)));
    }
    out.line(dump({{"index", index}, {"embeddings", rows}}));
  }
  out.flush();
}

int run_embed(const CLI::App& app, const EmbedFlags& flags) {
  const Console console = console_of(flags.console);
  watch_interrupt();
  const llm::Model model = load_model(flags.model, console);
  const std::vector<std::vector<llm::TokenId>> texts = inputs(app, flags, model);
  llm::EngineOptions options = engine_options(flags.run);
  options.max_sequences = std::min<int>(flags.parallel, static_cast<int>(std::max<std::size_t>(1, texts.size())));
  llm::Engine engine(model, options);
  console.detail(fmt::format("pooling {}, {}", flags.pooling.empty() ? model.info().pooling : flags.pooling,
                             flags.normalize ? "vectors of length 1" : "not normalised"));

  Output out;
  const bool pooled = (flags.pooling.empty() ? model.info().pooling : flags.pooling) != "none";
  const auto width = static_cast<std::size_t>(pooled ? model.info().n_embedding : model.info().n_embd);
  std::vector<llm::EmbedResult> results(texts.size());
  std::vector<bool> done(texts.size());
  std::size_t n_printed = 0;
  const auto print_ready = [&] {
    for (; n_printed < texts.size() && done[n_printed]; ++n_printed) {
      const llm::EmbedResult& result = results[n_printed];
      if (!result.error.empty()) throw llm::Error(llm::ErrorCode::usage, result.error);
      print(out, flags, n_printed, width, result.values);
      results[n_printed] = {};
    }
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    engine.submit_embed(texts[i], {.pooling = flags.pooling, .normalize = flags.normalize},
                        [&, i](llm::EmbedResult result) {
                          results[i] = std::move(result);
                          done[i] = true;
                        });
    while (engine.n_pending() >= static_cast<std::size_t>(options.max_sequences) * 2 && engine.step()) print_ready();
  }
  while (engine.step()) {
    if (interrupted()) return static_cast<int>(llm::ErrorCode::cancelled);
    print_ready();
  }
  print_ready();
  return 0;
}

}  // namespace

void add_embed(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<EmbedFlags>();
  CLI::App* command = app.add_subcommand("embed", "Turn texts into vectors");
  add_model_flags(*command, flags->model);
  add_prompt_flags(*command, flags->prompt);
  command
      ->add_option("--pooling", flags->pooling,
                   "How positions are joined: mean, cls, last or none; absent: as the model says")
      ->check(CLI::IsMember({"mean", "cls", "last", "none"}));
  command->add_flag("--normalize,!--no-normalize", flags->normalize, "Scale vectors to length 1 (default)");
  command->add_option("--format", flags->format, "json (one object a line) or raw (little-endian float32)")
      ->check(CLI::IsMember({"json", "jsonl", "raw"}))
      ->capture_default_str();
  command->add_option("--parallel", flags->parallel, "Texts in one step")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_run_flags(*command, flags->run);
  add_console_flags(*command, flags->console);
  command->footer("Without -p, -f and --ids every line of standard input is a text.");
  add_environment(*command);
  command->callback(
      [command, &program, flags] { program.run = [command, flags] { return run_embed(*command, *flags); }; });
}

}  // namespace llmgen
