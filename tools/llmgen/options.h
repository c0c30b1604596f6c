#ifndef LLMGEN_OPTIONS_H
#define LLMGEN_OPTIONS_H

#include <CLI/CLI.hpp>
#include <cstdint>
#include <llm/llm.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "console.h"

namespace llmgen {

// Option groups that commands share. Each add_* function adds the flags of one group to a command.

struct ModelFlags {
  std::string path;
  bool no_mmap = false;
  bool mlock = false;
  std::vector<std::string> lora;  // FILE[:SCALE]
};
void add_model_flags(CLI::App& app, ModelFlags& flags);

struct ConsoleFlags {
  Console console;
  std::string color = "auto";
};
void add_console_flags(CLI::App& app, ConsoleFlags& flags);
Console console_of(const ConsoleFlags& flags);

// How a run uses the machine.
struct RunFlags {
  int threads = 0;
  std::int64_t context = 0;
  std::string kv_type = "f16";
  bool exact = false;
  int chunk = 0;
};
void add_run_flags(CLI::App& app, RunFlags& flags);
llm::EngineOptions engine_options(const RunFlags& flags);
// Says so when the context is longer than the one the model was trained for.
void warn_beyond_training(const llm::EngineOptions& options, const llm::Model& model, const Console& console);

// Guesses that are checked in one step; they change the time and never the text.
struct SpeculationFlags {
  int lookup = 0;
  std::string draft_model;
  int draft = 8;
};
void add_speculation_flags(CLI::App& app, SpeculationFlags& flags);
// Loads the draft model, if one is named, into the options.
void set_draft_model(const SpeculationFlags& flags, const ModelFlags& model, const Console& console,
                     llm::EngineOptions& options);
void set_speculation(const SpeculationFlags& flags, llm::Request& request);

// How tokens are chosen and when an answer ends.
struct SamplingFlags {
  llm::SamplingOptions sampling;
  std::optional<std::uint64_t> seed;
  bool greedy = false;
  int max_tokens = 512;
  std::vector<std::string> stop;
  std::vector<std::string> logit_bias;  // ID+BIAS, ID-BIAS or ID=BIAS
  bool ignore_eos = false;
  bool special = false;
  int logprobs = 0;
  std::string samplers;
  const CLI::App* app = nullptr;  // where the flags stand
};
void add_sampling_flags(CLI::App& app, SamplingFlags& flags);
// Fills a request with everything but the prompt; draws a seed if none was given. Throws Error(usage).
llm::Request request_of(SamplingFlags& flags);
// The model's own sampling settings, where no flag and no environment variable says otherwise. Throws Error(model).
void use_model_settings(const SamplingFlags& flags, const llm::Model& model, const Console& console,
                        llm::SamplingOptions& sampling);

// What an answer must look like.
struct ConstraintFlags {
  std::string json_schema;  // a file or JSON text
  bool json_object = false;
  bool lax = false;
  std::string regex, choice, grammar;
};
void add_constraint_flags(CLI::App& app, ConstraintFlags& flags);
std::optional<llm::Constraint> constraint_of(const ConstraintFlags& flags);

// Every long option of `app` gets the environment variable LLMGEN_<NAME>.
void add_environment(CLI::App& app);

// Loads with a progress line; --verbose names what was ignored.
llm::Model load_model(const ModelFlags& flags, const Console& console);
// Throws Error(model) if there is no vocabulary.
const llm::Tokenizer& tokenizer_of(const llm::Model& model);

// "1,2, 3" -> ids. Throws Error(usage) naming `option`.
std::vector<llm::TokenId> parse_ids(const std::string& text, const std::string& option);
// "15+1.5", "15-inf" or "15=1.5". Throws Error(usage) naming `option`.
std::pair<llm::TokenId, float> parse_bias(const std::string& text, const std::string& option);
std::vector<std::string> split_list(const std::string& text, const char* separators);
llm::KvType parse_kv_type(const std::string& name);

// Whole file; "-" is standard input. Throws Error(io).
std::string read_text(const std::string& path);

}  // namespace llmgen

#endif
