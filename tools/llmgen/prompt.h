#ifndef LLMGEN_PROMPT_H
#define LLMGEN_PROMPT_H

#include <CLI/CLI.hpp>
#include <llm/llm.hpp>
#include <string>
#include <vector>

namespace llmgen {

// Where a prompt comes from: -p, -f, ids, or standard input when nothing else is given and it is no terminal.
struct PromptFlags {
  std::string text;
  std::string words;  // the prompt without -p
  std::string file;
  std::string ids;
  bool escape = false;
  bool parse_special = false;
};
void add_prompt_flags(CLI::App& app, PromptFlags& flags);

// Whether the prompt is given as ids.
inline bool prompt_is_ids(const PromptFlags& flags) {
  return !flags.ids.empty();
}
// The text; with both -p and -f: the text of -p, a newline, the file. Throws Error(usage) if there is none.
std::string prompt_text(const CLI::App& app, const PromptFlags& flags);

// "\n" and the other escapes of C, as --escape asks for.
std::string unescape(const std::string& text);

}  // namespace llmgen

#endif
