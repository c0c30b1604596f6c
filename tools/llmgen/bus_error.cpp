#include "bus_error.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <llm/error.hpp>

namespace llmgen {
namespace {

// Written before the handler is installed; a signal handler may neither allocate nor format.
std::array<char, 1024> message;
std::size_t n_message_bytes = 0;

void on_bus_error(int) {
  const ssize_t ignored = ::write(2, message.data(), n_message_bytes);
  static_cast<void>(ignored);
  ::_exit(static_cast<int>(llm::ErrorCode::io));
}

}  // namespace

void explain_bus_errors(const std::string& model_path) {
  const std::string text = fmt::format(
      "llmgen: error: {}: cannot be read any more: the file shrank or its disk failed while the model was in use "
      "(--no-mmap keeps a copy in memory)\n",
      model_path);
  n_message_bytes = std::min(text.size(), message.size());
  std::copy_n(text.data(), n_message_bytes, message.data());
  struct sigaction action = {};
  action.sa_handler = on_bus_error;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace llmgen
