#include <fmt/format.h>

#include <llm/error.hpp>
#include <memory>

#include "console.h"
#include "nearest_name.h"
#include "program.h"

namespace llmgen {

void add_help(CLI::App& app, Program& program) {
  const auto topic = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("help", "Show the options of a command");
  command->add_option("command", *topic, "Which command; none: the program as a whole");
  command->callback([&app, &program, topic] {
    program.run = [&app, topic] {
      const CLI::App* shown = topic->empty() ? &app : nullptr;
      for (const CLI::App* other : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (other->get_name() == *topic) shown = other;
      }
      if (shown == nullptr) {
        const std::string near = nearest_name(app, *topic);
        throw llm::Error(llm::ErrorCode::usage,
                         fmt::format("help: found '{}', expected a command{}", *topic,
                                     near.empty() ? "" : fmt::format(" (did you mean {}?)", near)));
      }
      Output out;
      out.line(shown->help(topic->empty() ? "" : "llmgen"));
      out.flush();
      return 0;
    };
  });
}

}  // namespace llmgen
