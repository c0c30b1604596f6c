#include "line_editor.h"

#include <histedit.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <iostream>

#include "console.h"

namespace llmgen {

struct LineEditor::Terminal {
  EditLine* editor = el_init("llmgen", stdin, stdout, stderr);
  History* history = history_init();
  std::string prompt;
  std::deque<std::string> pending;  // texts for the next lines

  Terminal() {
    HistEvent event;
    ::history(history, &event, H_SETSIZE, 1000);
    ::history(history, &event, H_SETUNIQUE, 1);
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, &show_prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 1);  // a signal finds the terminal as it was
    el_set(editor, EL_HIST, ::history, history);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(editor, nullptr);  // the person's ~/.editrc
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    history_end(history);
    el_end(editor);
  }

  static char* show_prompt(EditLine* editor) {
    Terminal* terminal = nullptr;
    el_get(editor, EL_CLIENTDATA, &terminal);
    return terminal->prompt.data();
  }
};

LineEditor::LineEditor(std::string history_file) : history_file_(std::move(history_file)) {
  if (!stdin_is_terminal()) return;
  terminal_ = std::make_unique<Terminal>();
  HistEvent event;
  if (!history_file_.empty()) ::history(terminal_->history, &event, H_LOAD, history_file_.c_str());
}

LineEditor::~LineEditor() {
  HistEvent event;
  if (terminal_ && !history_file_.empty()) ::history(terminal_->history, &event, H_SAVE, history_file_.c_str());
}

LineEditor::Status LineEditor::read(const std::string& prompt, std::string& line) {
  if (!terminal_) {
    if (std::getline(std::cin, line)) return Status::line;
    return interrupted() ? Status::interrupted : Status::end;
  }
  terminal_->prompt = prompt;
  if (!terminal_->pending.empty()) {
    el_push(terminal_->editor, terminal_->pending.front().c_str());  // as if it were typed
    terminal_->pending.pop_front();
  }
  int n_bytes = 0;
  const char* typed = el_gets(terminal_->editor, &n_bytes);
  if (typed == nullptr || n_bytes <= 0) return interrupted() ? Status::interrupted : Status::end;
  line.assign(typed, static_cast<std::size_t>(n_bytes));
  if (line.ends_with('\n')) line.pop_back();
  if (line.find_first_not_of(" \t") != std::string::npos) {
    HistEvent event;
    ::history(terminal_->history, &event, H_ENTER, line.c_str());
  }
  return interrupted() ? Status::interrupted : Status::line;
}

void LineEditor::prefill(const std::string& text) {
  if (!terminal_) return;
  terminal_->pending.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    terminal_->pending.push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

}  // namespace llmgen
