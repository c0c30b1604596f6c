#include "line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "console.h"

namespace llmgen {

namespace {

constexpr int history_size = 1000;

// Keys of common terminals beside those that libedit binds.
constexpr const char* keys[][2] = {
    {"\033[1~", "ed-move-to-beg"},      {"\033[7~", "ed-move-to-beg"}, {"\033[H", "ed-move-to-beg"},
    {"\033[4~", "ed-move-to-end"},      {"\033[8~", "ed-move-to-end"}, {"\033[F", "ed-move-to-end"},
    {"\033[3~", "ed-delete-next-char"}, {"\033[1;5C", "em-next-word"}, {"\033[1;5D", "ed-prev-word"},
    {"\022", "em-inc-search-prev"},
};

// A byte of the terminal; -1 at its end and when Ctrl-C interrupts.
int read_byte() {
  unsigned char byte = 0;
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n == 1) return byte;
    if (n == 0 || errno != EINTR || interrupted()) return -1;
  }
}

// The next character for libedit, from UTF-8; what is none counts as U+FFFD.
int read_character(EditLine*, wchar_t* character) {
  const int first = read_byte();
  if (first < 0) return interrupted() ? -1 : 0;
  const int n_more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : -1;
  *character = static_cast<wchar_t>(n_more == 0 ? first : 0xfffd);
  if (n_more <= 0) return 1;
  unsigned code = static_cast<unsigned>(first) & (0x3fu >> n_more);
  for (int i = 0; i < n_more; ++i) {
    const int byte = read_byte();
    if (byte < 0) return interrupted() ? -1 : 0;
    if ((byte & 0xc0) != 0x80) return 1;
    code = code << 6 | (static_cast<unsigned>(byte) & 0x3fu);
  }
  *character = static_cast<wchar_t>(code);
  return 1;
}

}  // namespace

struct LineEditor::Terminal {
  explicit Terminal(std::string file) : history_file(std::move(file)) {
    // Characters are told from bytes by the locale; a person's text is UTF-8.
    if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
      std::setlocale(LC_CTYPE, "C.UTF-8");
    }
    editor = el_init("llmgen", stdin, stdout, stderr);
    lines = history_init();
    HistEvent event;
    history(lines, &event, H_SETSIZE, history_size);
    history(lines, &event, H_SETUNIQUE, 1);
    if (!history_file.empty()) history(lines, &event, H_LOAD, history_file.c_str());
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, show_prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_HIST, history, lines);
    el_set(editor, EL_GETCFN, read_character);
    for (const auto& [key, command] : keys) el_set(editor, EL_BIND, key, command, nullptr);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    HistEvent event;
    if (!history_file.empty()) history(lines, &event, H_SAVE, history_file.c_str());
    history_end(lines);
    el_end(editor);
  }

  static char* show_prompt(EditLine* editor) {
    Terminal* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }

  EditLine* editor = nullptr;
  History* lines = nullptr;
  std::string history_file, prompt;
};

LineEditor::LineEditor(std::string history_file) {
  if (stdin_is_terminal()) terminal_ = std::make_unique<Terminal>(std::move(history_file));
}

LineEditor::~LineEditor() = default;

LineEditor::Status LineEditor::read(const std::string& prompt, std::string& line) {
  if (!terminal_) {
    if (std::getline(std::cin, line)) return Status::line;
    return interrupted() ? Status::interrupted : Status::end;
  }
  terminal_->prompt = prompt;
  if (!next_lines_.empty()) {
    el_push(terminal_->editor, next_lines_.front().c_str());
    next_lines_.pop_front();
  }
  int n = 0;
  const char* typed = el_gets(terminal_->editor, &n);
  if (interrupted()) {
    el_reset(terminal_->editor);
    return Status::interrupted;
  }
  if (typed == nullptr || n <= 0) return Status::end;
  line.assign(typed, static_cast<std::size_t>(n));
  if (line.back() == '\n') line.pop_back();
  if (line.find_first_not_of(" \t") != std::string::npos) {
    HistEvent event;
    history(terminal_->lines, &event, H_ENTER, line.c_str());
  }
  return Status::line;
}

void LineEditor::prefill(const std::string& text) {
  next_lines_.clear();
  for (std::size_t at = 0; terminal_ != nullptr && at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    next_lines_.push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

}  // namespace llmgen
