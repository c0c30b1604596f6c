#ifndef LLMGEN_CONSOLE_H
#define LLMGEN_CONSOLE_H

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace llmgen {

// The reader of our standard output went away: not an error, the program just ends.
struct ClosedPipe {};

// Standard output, checked at every write: a full disk is an error, a closed pipe ends the program quietly.
class Output {
 public:
  explicit Output(int fd = 1);
  // Bytes as they are. On a terminal, control characters other than newline and tab are replaced.
  void text(std::string_view bytes);
  void line(std::string_view bytes);  // bytes and a newline, untouched
  void flush();
  bool is_terminal() const { return terminal_; }

 private:
  void write_all(std::string_view bytes);
  int fd_;
  bool terminal_;
  std::string buffer_;
};

bool stderr_is_terminal();
bool stdin_is_terminal();

enum class ColorMode : std::uint8_t { automatic, always, never };

// How much the program says on stderr.
struct Console {
  bool quiet = false;
  int verbose = 0;
  ColorMode color = ColorMode::automatic;

  bool use_color() const;
  void note(std::string_view message) const;     // not with --quiet
  void warning(std::string_view message) const;  // not with --quiet
  void detail(std::string_view message) const;   // with --verbose
};

// One line on stderr that is redrawn in place; only on a terminal and only for work that lasts.
class ProgressLine {
 public:
  explicit ProgressLine(const Console& console);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(std::string_view label, double fraction);
  void show_text(std::string_view text);
  void clear();

 private:
  bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

bool interrupted();

// Runs the parts of a token callback that may throw; what they throw waits here until the engine has returned.
class CallbackGuard {
 public:
  // False if work threw, now or before, or Ctrl-C was pressed.
  template <class Work>
  bool operator()(Work&& work) {
    if (failure_) return false;
    try {
      work();
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
    return !interrupted();
  }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::exception_ptr failure_;
};

// From the first call on, Ctrl-C sets a flag; the second one ends the program at once. watch_termination() is the same
// for SIGTERM, for commands that have something to finish.
void watch_interrupt();
void watch_termination();
// What the program ends with after a signal: 130 for SIGINT, 143 for SIGTERM.
int interrupted_exit_code();
void clear_interrupt();

// "1.5 GB"
std::string format_bytes(std::uint64_t bytes);

}  // namespace llmgen

#endif
