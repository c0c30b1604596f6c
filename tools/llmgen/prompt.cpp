#include "prompt.h"

#include <fmt/format.h>

#include "console.h"
#include "options.h"

namespace llmgen {

using llm::Error;
using llm::ErrorCode;

void add_prompt_flags(CLI::App& app, PromptFlags& flags) {
  app.add_option("-p,--prompt", flags.text, "Prompt")->group("Prompt")->type_name("TEXT");
  app.add_option("text", flags.words, "The prompt, without -p")->group("Prompt");
  app.add_option("-f,--file", flags.file, "Read the prompt from a file; - is standard input")
      ->group("Prompt")
      ->type_name("FILE");
  app.add_option("--prompt-ids,--ids", flags.ids, "Prompt as token ids, e.g. 1,2,3")->group("Prompt")->type_name("IDS");
  app.add_flag("-e,--escape", flags.escape, "Process \\n, \\t, \\\\ and the like in -p")->group("Prompt");
  app.add_flag("--parse-special", flags.parse_special,
               "Take the text of control tokens in the prompt as control tokens")
      ->group("Prompt");
}

std::string prompt_text(const CLI::App& app, const PromptFlags& flags) {
  const CLI::Option* words = app.get_option_no_throw("text");  // commands with flags of their own have none
  const bool has_words = words != nullptr && words->count() > 0;
  const bool has_text = has_words || app.count("--prompt") > 0;
  const bool has_file = !flags.file.empty();
  if (has_words && app.count("--prompt") > 0) {
    throw Error(ErrorCode::usage, fmt::format("found the prompt twice: '{}' and -p; expected it once", flags.words));
  }
  const std::string& given = has_words ? flags.words : flags.text;
  std::string text = flags.escape ? unescape(given) : given;
  if (has_file) {
    if (has_text) text += '\n';
    text += read_text(flags.file);
  } else if (!has_text) {
    if (stdin_is_terminal()) {
      throw Error(ErrorCode::usage, "no prompt: use -p TEXT or -f FILE, or pipe it in; llmgen --help shows examples");
    }
    text = read_text("-");
  }
  return text;
}

std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    switch (c) {
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'r':
        out += '\r';
        break;
      case '\\':
        out += '\\';
        break;
      case '"':
        out += '"';
        break;
      case '\'':
        out += '\'';
        break;
      default:
        out += '\\';
        out += c;
    }
  }
  return out;
}

}  // namespace llmgen
