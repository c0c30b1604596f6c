#include "console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <llm/error.hpp>

namespace llmgen {

namespace {

std::atomic<int> interrupt_count{0};
std::atomic<int> interrupt_signal{SIGINT};

void on_interrupt(int signal) {
  interrupt_signal.store(signal);
  if (interrupt_count.fetch_add(1) > 0) _exit(128 + signal);
}

}  // namespace

Output::Output(int fd) : fd_(fd), terminal_(isatty(fd) != 0) {}

void Output::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EPIPE) {
      throw ClosedPipe{};
    } else if (errno != EINTR) {
      throw llm::Error(llm::ErrorCode::io, fmt::format("cannot write to standard output: {}", std::strerror(errno)));
    }
  }
}

void Output::text(std::string_view bytes) {
  if (!terminal_) {
    buffer_ += bytes;
    return;
  }
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const bool shown = byte >= 0x20 ? byte != 0x7f : (c == '\n' || c == '\t');
    if (shown) {
      buffer_ += c;
    } else {
      buffer_ += "\xEF\xBF\xBD";  // U+FFFD
    }
  }
}

void Output::line(std::string_view bytes) {
  buffer_ += bytes;
  buffer_ += '\n';
}

void Output::flush() {
  std::string bytes;
  bytes.swap(buffer_);
  write_all(bytes);
}

bool stderr_is_terminal() {
  return isatty(2) != 0;
}
bool stdin_is_terminal() {
  return isatty(0) != 0;
}

bool Console::use_color() const {
  if (color != ColorMode::automatic) return color == ColorMode::always;
  return stderr_is_terminal() && std::getenv("NO_COLOR") == nullptr;
}

void Console::note(std::string_view message) const {
  if (!quiet) fmt::print(stderr, "{}\n", message);
}

void Console::warning(std::string_view message) const {
  if (!quiet) fmt::print(stderr, "llmgen: {}{}\n", use_color() ? "\x1b[33mwarning:\x1b[0m " : "warning: ", message);
}

void Console::detail(std::string_view message) const {
  if (verbose > 0) fmt::print(stderr, "{}\n", message);
}

ProgressLine::ProgressLine(const Console& console)
    : enabled_(!console.quiet && stderr_is_terminal()), start_(std::chrono::steady_clock::now()), last_(start_) {}

ProgressLine::~ProgressLine() {
  clear();
}

void ProgressLine::show(std::string_view label, double fraction) {
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 30);
  show_text(
      fmt::format("{} [{:<30}] {:3.0f} %", label, std::string(static_cast<std::size_t>(filled), '#'), fraction * 100));
}

void ProgressLine::show_text(std::string_view text) {
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || now - start_ < 300ms || (drawn_ && now - last_ < 100ms)) return;
  fmt::print(stderr, "\r\x1b[K{}", text);
  std::fflush(stderr);
  last_ = now;
  drawn_ = true;
}

void ProgressLine::clear() {
  if (drawn_) {
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
    drawn_ = false;
  }
}

namespace {

void watch(int signal) {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void watch_interrupt() {
  watch(SIGINT);
}
void watch_termination() {
  watch(SIGTERM);
}

bool interrupted() {
  return interrupt_count.load() > 0;
}
int interrupted_exit_code() {
  return 128 + interrupt_signal.load();
}
void clear_interrupt() {
  interrupt_count.store(0);
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.{}f} {}", value,
                                 value < 10    ? 2
                                 : value < 100 ? 1
                                               : 0,
                                 units[unit]);
}

}  // namespace llmgen
