#include "line_editor.h"

#include <editline/readline.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>

#include "console.h"

namespace llmgen {

namespace {

// Texts for the next lines; libedit's hook has no argument to carry them.
std::deque<std::string>& pending_lines() {
  thread_local std::deque<std::string> lines;
  return lines;
}

int insert_pending() {
  if (!pending_lines().empty()) {
    rl_insert_text(pending_lines().front().c_str());
    pending_lines().pop_front();
  }
  return 0;
}

struct Free {
  void operator()(char* text) const { std::free(text); }  // readline() hands out memory of malloc
};

}  // namespace

LineEditor::LineEditor(std::string history_file)
    : history_file_(std::move(history_file)), terminal_(stdin_is_terminal()) {
  if (!terminal_) return;
  rl_initialize();
  using_history();
  stifle_history(1000);
  if (!history_file_.empty()) read_history(history_file_.c_str());
  rl_startup_hook = insert_pending;
}

LineEditor::~LineEditor() {
  if (terminal_ && !history_file_.empty()) write_history(history_file_.c_str());
}

LineEditor::Status LineEditor::read(const std::string& prompt, std::string& line) {
  if (!terminal_) {
    if (std::getline(std::cin, line)) return Status::line;
    return interrupted() ? Status::interrupted : Status::end;
  }
  const std::unique_ptr<char, Free> typed(readline(prompt.c_str()));
  if (!typed) return interrupted() ? Status::interrupted : Status::end;
  line = typed.get();
  if (line.find_first_not_of(" \t") != std::string::npos) add_history(line.c_str());
  return interrupted() ? Status::interrupted : Status::line;
}

void LineEditor::prefill(const std::string& text) {
  if (!terminal_) return;
  pending_lines().clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    pending_lines().push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

}  // namespace llmgen
