#include <fmt/format.h>

#include <memory>

#include "console.h"
#include "program.h"

namespace llmgen {

namespace {

// Man page and completions are made from the same tables that parse the arguments.

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  return {commands.begin(), commands.end()};
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  auto options = app.get_options();
  return {options.begin(), options.end()};
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : options_of(app)) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::string bash_script(const CLI::App& app) {
  std::string cases;
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) {
    names.push_back(command->get_name());
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), joined(flag_names(*command), " "));
  }
  return fmt::format(R"(_llmgen() {{
  local words="{} {}" word current="${{COMP_WORDS[COMP_CWORD]}}"
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in
{}    esac
  done
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _llmgen llmgen
)",
                     joined(names, " "), joined(flag_names(app), " "), cases);
}

std::string zsh_script(const CLI::App& app) {
  std::string cases, names;
  const auto entries = [](const CLI::App& command) {
    std::string text;
    for (const CLI::Option* option : options_of(command)) {
      std::string help = option->get_description();
      for (char& c : help) {
        if (c == ':' || c == '[' || c == ']' || c == '\n') c = ' ';
      }
      for (const std::string& name : option->get_lnames())
        text += fmt::format(" {}", single_quoted(fmt::format("--{}[{}]", name, help)));
      for (const std::string& name : option->get_snames())
        text += fmt::format(" {}", single_quoted(fmt::format("-{}[{}]", name, help)));
    }
    return text;
  };
  for (const CLI::App* command : commands_of(app)) {
    names += fmt::format(" {}", single_quoted(fmt::format("{}:{}", command->get_name(), command->get_description())));
    cases += fmt::format("    {}) _arguments{} '*:file:_files' ;;\n", command->get_name(), entries(*command));
  }
  return fmt::format(R"(#compdef llmgen
_llmgen() {{
  local -a commands
  commands=({})
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
{}    *) _arguments{} '*:file:_files' ;;
  esac
}}
compdef _llmgen llmgen
)",
                     names, cases, entries(app));
}

std::string fish_script(const CLI::App& app) {
  std::string text;
  const auto entries = [&text](const CLI::App& command, const std::string& condition) {
    for (const CLI::Option* option : options_of(command)) {
      std::string line = "complete -c llmgen";
      if (!condition.empty()) line += " -n " + single_quoted(condition);
      for (const std::string& name : option->get_snames()) line += " -s " + name;
      for (const std::string& name : option->get_lnames()) line += " -l " + name;
      if (!option->nonpositional()) continue;
      text += line + " -d " + single_quoted(option->get_description()) + "\n";
    }
  };
  entries(app, "__fish_use_subcommand");
  for (const CLI::App* command : commands_of(app)) {
    text += fmt::format("complete -c llmgen -n __fish_use_subcommand -a {} -d {}\n", command->get_name(),
                        single_quoted(command->get_description()));
    entries(*command, "__fish_seen_subcommand_from " + command->get_name());
  }
  return text;
}

// Text for roff: backslashes and leading dots are escaped, hyphens stay hyphens when copied.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string man_options(const CLI::App& app) {
  std::string text, group;
  for (const CLI::Option* option : options_of(app)) {
    if (option->get_group() != group && option->get_group() != "Options") {
      group = option->get_group();
      text += ".PP\n.B " + roff(group) + "\n";
    }
    std::vector<std::string> names;
    for (const std::string& name : option->get_snames()) names.push_back("\\fB\\-" + roff(name) + "\\fR");
    for (const std::string& name : option->get_lnames()) names.push_back("\\fB\\-\\-" + roff(name) + "\\fR");
    if (names.empty()) names.push_back("\\fI" + roff(option->get_name()) + "\\fR");
    std::string line = joined(names, ", ");
    if (option->get_items_expected_max() > 0 && option->nonpositional())
      line += " \\fI" + roff(option->get_type_name()) + "\\fR";
    std::string help = roff(option->get_description());
    if (!option->get_default_str().empty()) help += " (default: " + roff(option->get_default_str()) + ")";
    if (!option->get_envname().empty()) help += " [" + roff(option->get_envname()) + "]";
    text.append(".TP\n").append(line).append("\n").append(help).append("\n");
  }
  return text;
}

std::string man_page(const CLI::App& app) {
  std::string text = fmt::format(".TH LLMGEN 1 \"\" \"llmgen {}\" \"User Commands\"\n", LLMGEN_VERSION);
  text += ".SH NAME\nllmgen \\- generate text with large language models on ordinary CPUs\n";
  text += ".SH SYNOPSIS\n.B llmgen\n\\-m MODEL \\-p TEXT [options]\n.br\n.B llmgen\nCOMMAND [options]\n";
  text += ".SH DESCRIPTION\n" + roff(app.get_description()) +
          " The answer goes to standard output, byte for byte; everything else goes to standard error.\n";
  text += ".SH OPTIONS\n" + man_options(app);
  text += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) {
    text += ".SS llmgen " + roff(command->get_name()) + "\n" + roff(command->get_description()) + ".\n" +
            man_options(*command);
    if (!command->get_footer().empty()) text += ".PP\n" + roff(command->get_footer()) + "\n";
  }
  text += ".SH EXAMPLES AND EXIT STATUS\n.nf\n" + roff(app.get_footer()) + "\n.fi\n";
  return text;
}

int print(const std::string& text) {
  Output out;
  out.line(text.substr(0, text.find_last_not_of('\n') + 1));
  out.flush();
  return 0;
}

}  // namespace

void add_completion(CLI::App& app, Program& program) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for bash, zsh or fish");
  command->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, &program, shell] {
    program.run = [&app, shell] {
      return print(*shell == "bash" ? bash_script(app) : *shell == "zsh" ? zsh_script(app) : fish_script(app));
    };
  });
}

void add_man(CLI::App& app, Program& program) {
  CLI::App* command = app.add_subcommand("man", "Print the manual page (llmgen man | man -l -)");
  command->callback([&app, &program] { program.run = [&app] { return print(man_page(app)); }; });
}

}  // namespace llmgen
