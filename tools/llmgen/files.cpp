#include <fmt/format.h>
#include <fmt/ranges.h>

#include <llm/files.hpp>
#include <memory>

#include "console.h"
#include "options.h"
#include "program.h"
#include "report.h"

namespace llmgen {

namespace {

// Commands that write model files: convert, quantize and synth.

struct FileFlags {
  ConsoleFlags console;
  std::string input, output, type;
  llm::SynthOptions synth;
  llm::ConvertOptions convert;
  bool json = false;
};

// Runs `work` with a progress line and says what was written.
template <class Work>
int write_file(const FileFlags& flags, Work work) {
  const Console console = console_of(flags.console);
  if (flags.output.empty()) throw llm::Error(llm::ErrorCode::usage, "no output given: use -o FILE");
  watch_interrupt();
  ProgressLine progress(console);
  work([&](double fraction) {
    progress.show("writing", fraction);
    return !interrupted();
  });
  progress.clear();
  console.note(fmt::format("wrote {}", flags.output));
  return 0;
}

void say_what_was_written(const FileFlags& flags, const llm::Conversion& done) {
  const Console console = console_of(flags.console);
  console.detail(fmt::format("architecture {}, vocabulary {}", done.architecture,
                             done.vocabulary.empty() ? "none" : done.vocabulary));
  for (const std::string& name : done.left_out) console.detail(fmt::format("left out: tensor {}", name));
  for (const std::string& what : done.unread_elsewhere) {
    console.warning(fmt::format("other engines do not read {}: they compute otherwise or refuse the file", what));
  }
  if (!flags.json) return;
  Output out;
  out.line(dump({{"output", flags.output},
                 {"architecture", done.architecture},
                 {"vocabulary", done.vocabulary},
                 {"left_out", done.left_out},
                 {"unread_elsewhere", done.unread_elsewhere}}));
  out.flush();
}

}  // namespace

void add_quantize(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<FileFlags>();
  CLI::App* command = app.add_subcommand("quantize", "Rewrite a GGUF file with another weight type");
  command->add_option("input", flags->input, "GGUF file to read")->required();
  command->add_option("output,-o,--output", flags->output, "GGUF file to write")->required();
  command->add_option("--type", flags->type, fmt::format("{}", fmt::join(llm::weight_recipes(), ", ")))->required();
  add_console_flags(*command, flags->console);
  command->callback([&program, flags] {
    program.run = [flags] {
      return write_file(*flags, [&](const llm::FileProgress& progress) {
        llm::quantize(flags->input, flags->output, flags->type, progress);
      });
    };
  });
}

void add_convert(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<FileFlags>();
  CLI::App* command = app.add_subcommand("convert", "Write a Hugging Face folder as a GGUF file");
  command->add_option("input,-m,--model", flags->input, "Hugging Face folder or llama2.c checkpoint")->required();
  command->add_option("-o,--output", flags->output, "GGUF file to write")->required();
  command->add_option("--type", flags->convert.type,
                      "Weight type: f16, bf16, f32, q8_0 ... as of quantize; absent: as the folder has them");
  command->add_option("--pretokenizer", flags->convert.pretokenizer,
                      "Name of the pre-tokenizer; absent: the one that cuts text as the folder's tokenizer does");
  command->add_flag("--json", flags->json, "Print what was written as one JSON object");
  add_console_flags(*command, flags->console);
  command->callback([&program, flags] {
    program.run = [flags] {
      llm::Conversion done;
      const int status = write_file(*flags, [&](const llm::FileProgress& progress) {
        done = llm::convert(flags->input, flags->output, flags->convert, progress);
      });
      say_what_was_written(*flags, done);
      return status;
    };
  });
}

void add_synth(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<FileFlags>();
  CLI::App* command = app.add_subcommand("synth", "Write a model with random weights, for measuring");
  command->add_option("--arch", flags->synth.architecture, "llama, qwen2, qwen3 or mixtral")->capture_default_str();
  command->add_option("--preset", flags->synth.preset, fmt::format("{}", fmt::join(llm::synth_presets(), ", ")))
      ->capture_default_str();
  command->add_option("--type", flags->synth.type, fmt::format("{}", fmt::join(llm::weight_recipes(), ", ")))
      ->capture_default_str();
  command->add_option("--seed", flags->synth.seed, "Seed of the weights")->capture_default_str();
  command->add_option("-o,--output", flags->output, "GGUF file to write")->required();
  add_console_flags(*command, flags->console);
  command->callback([&program, flags] {
    program.run = [flags] {
      return write_file(
          *flags, [&](const llm::FileProgress& progress) { llm::synthesize(flags->synth, flags->output, progress); });
    };
  });
}

}  // namespace llmgen
