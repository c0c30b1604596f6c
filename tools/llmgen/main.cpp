#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <llm/error.hpp>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "nearest_name.h"
#include "program.h"

namespace llmgen {
namespace {

int report(const Program& program, llm::ErrorCode code, const std::string& message) {
  fmt::print(stderr, "llmgen: error: {}\n", message);
  if (program.json_errors) {
    const nlohmann::json object = {{"error", {{"code", static_cast<int>(code)}, {"message", message}}}};
    try {
      Output out;
      out.line(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
      out.flush();
    } catch (...) {
      return static_cast<int>(code);
    }
  }
  return static_cast<int>(code);
}

// The arguments without the program's name; names of long options may be written with underscores (--top_k).
std::vector<std::string> plain_arguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& word : arguments) {
    if (word == "--") break;
    if (!word.starts_with("--")) continue;
    std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(std::min(word.find('='), word.size())), '_',
                 '-');
  }
  return arguments;
}

const CLI::App& chosen_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : *chosen.front();
}

int usage_error(const CLI::App& app, const Program& program, const CLI::ParseError& error) {
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  const CLI::App& command = chosen_command(app);
  for (const std::string& word : command.remaining(true)) {
    const std::string near = nearest_name(command, word.substr(0, word.find('=')));
    if (!near.empty()) message += fmt::format(" (did you mean {}?)", near);
    break;
  }
  if (command.get_parent() == nullptr) {
    message += "; llmgen --help lists the options";
  } else {
    message += fmt::format("; llmgen {} --help lists the options", command.get_name());
  }
  return report(program, llm::ErrorCode::usage, message);
}

int run(int argc, char** argv) {
  Program program;
  CLI::App app("Generates text with large language models on ordinary CPUs.", "llmgen");
  // Scripts and aliases append what they want changed.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_version_flag("--version", std::string("llmgen ") + LLMGEN_VERSION);
  app.set_help_flag("-h,--help", "Show this help");
  add_generate(app, program);
  add_batch(app, program);
  add_bench(app, program);
  add_chat(app, program);
  add_completion(app, program);
  add_detokenize(app, program);
  add_embed(app, program);
  add_fim(app, program);
  add_help(app, program);
  add_inspect(app, program);
  add_logits(app, program);
  add_man(app, program);
  add_perplexity(app, program);
  add_fill(app, program);
  add_convert(app, program);
  add_quantize(app, program);
  add_render(app, program);
  add_synth(app, program);
  add_tokenize(app, program);
  app.require_subcommand(0, 1);

  std::vector<std::string> arguments = plain_arguments(argc, argv);
  // Known before parsing, which may fail.
  program.json_errors = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::FileError& error) {
    return report(program, llm::ErrorCode::io, error.what());
  } catch (const CLI::ParseError& error) {
    return usage_error(app, program, error);
  }
  try {
    const int code = program.run();
    return code == static_cast<int>(llm::ErrorCode::cancelled) ? interrupted_exit_code() : code;
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const llm::Error& error) {
    return report(program, error.code(), error.message());
  } catch (const std::bad_alloc&) {
    return report(program, llm::ErrorCode::memory, "out of memory");
  } catch (const std::exception& error) {
    return report(program, llm::ErrorCode::internal, fmt::format("unexpected: {}", error.what()));
  }
}

}  // namespace
}  // namespace llmgen

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return llmgen::run(argc, argv);
}
