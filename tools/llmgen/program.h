#ifndef LLMGEN_PROGRAM_H
#define LLMGEN_PROGRAM_H

#include <CLI/CLI.hpp>
#include <functional>

namespace llmgen {

// What main() runs after the arguments are parsed: the chosen command's function, which returns the exit code.
struct Program {
  std::function<int()> run;
  bool json_errors = false;  // errors are reported as one JSON object on stdout besides the line on stderr
};

// One file per subcommand; each adds itself to the app and sets Program::run when chosen.
void add_generate(CLI::App& app, Program& program);  // the app itself: `llmgen -m M -p TEXT`
void add_batch(CLI::App& app, Program& program);
void add_bench(CLI::App& app, Program& program);
void add_chat(CLI::App& app, Program& program);
void add_completion(CLI::App& app, Program& program);
void add_detokenize(CLI::App& app, Program& program);
void add_embed(CLI::App& app, Program& program);
void add_fim(CLI::App& app, Program& program);
void add_help(CLI::App& app, Program& program);
void add_inspect(CLI::App& app, Program& program);
void add_logits(CLI::App& app, Program& program);
void add_man(CLI::App& app, Program& program);
void add_perplexity(CLI::App& app, Program& program);
void add_fill(CLI::App& app, Program& program);
void add_convert(CLI::App& app, Program& program);
void add_quantize(CLI::App& app, Program& program);
void add_render(CLI::App& app, Program& program);
void add_synth(CLI::App& app, Program& program);
void add_tokenize(CLI::App& app, Program& program);

}  // namespace llmgen

#endif
