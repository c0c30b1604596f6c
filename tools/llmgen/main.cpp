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
#include "program.h"

namespace llmgen {
namespace {

// Edit distance, for suggesting the option that was meant.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// The nearest name the (sub)command knows, or nothing if none is near.
std::string suggestion(const CLI::App& app, std::string_view word) {
  std::string best;
  std::size_t best_distance = 3;
  const auto consider = [&](const std::string& name) {
    const std::size_t d = distance(word, name);
    if (d < best_distance) {
      best_distance = d;
      best = name;
    }
  };
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) consider("--" + name);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    consider(command->get_name());
  return best;
}

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

const CLI::App& chosen_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : *chosen.front();
}

int usage_error(const CLI::App& app, const Program& program, const CLI::ParseError& error) {
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  const CLI::App& command = chosen_command(app);
  for (const std::string& word : command.remaining(true)) {
    const std::string near = suggestion(command, word.substr(0, word.find('=')));
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
  add_inspect(app, program);
  add_logits(app, program);
  add_man(app, program);
  add_perplexity(app, program);
  add_quantize(app, program);
  add_render(app, program);
  add_synth(app, program);
  add_tokenize(app, program);
  app.require_subcommand(0, 1);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::FileError& error) {
    return report(program, llm::ErrorCode::io, error.what());
  } catch (const CLI::ParseError& error) {
    return usage_error(app, program, error);
  }
  try {
    return program.run();
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
