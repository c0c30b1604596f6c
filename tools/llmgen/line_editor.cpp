#include "line_editor.h"

#include <editline/readline.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "console.h"

namespace llmgen {

namespace {

// Text for the next line; libedit's hook has no argument to carry it.
std::string& pending_text() {
  thread_local std::string text;
  return text;
}

int insert_pending() {
  if (!pending_text().empty()) {
    rl_insert_text(pending_text().c_str());
    pending_text().clear();
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
  if (terminal_) pending_text() = text;
}

}  // namespace llmgen
