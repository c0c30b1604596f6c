#ifndef LLMGEN_LINE_EDITOR_H
#define LLMGEN_LINE_EDITOR_H

#include <deque>
#include <memory>
#include <string>

namespace llmgen {

// Lines that a person types: editing and history on a terminal (libedit), plain lines otherwise.
class LineEditor {
 public:
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Status { line, interrupted, end };
  // One line without its newline. Ctrl-C gives `interrupted`, Ctrl-D or the end of the input `end`.
  Status read(const std::string& prompt, std::string& line);
  // Puts the lines of `text` into the next lines for editing, one each, in place of those before (terminal only).
  void prefill(const std::string& text);

 private:
  struct Terminal;

  std::unique_ptr<Terminal> terminal_;  // null: no terminal
  std::deque<std::string> next_lines_;
};

}  // namespace llmgen

#endif
