#include "batch_input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <llm/error.hpp>

#include "console.h"

namespace llmgen {

LineReader::LineReader(const std::string& path, std::size_t max_line) : max_line_(max_line) {
  if (path != "-") {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw llm::Error(llm::ErrorCode::io, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    owned_ = true;
  }
  struct stat status = {};
  if (fstat(fd_, &status) == 0) {
    if (S_ISDIR(status.st_mode))
      throw llm::Error(llm::ErrorCode::io, fmt::format("{} is a folder, expected a file of JSON lines", path));
    if (S_ISREG(status.st_mode)) total_bytes_ = static_cast<std::uint64_t>(status.st_size);
  }
}

LineReader::~LineReader() {
  if (owned_) ::close(fd_);
}

bool LineReader::fill(bool wait) {
  pollfd poller = {.fd = fd_, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&poller, 1, wait ? 200 : 0);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return false;
  char bytes[1 << 16];
  const ssize_t n = ::read(fd_, bytes, sizeof bytes);
  if (n < 0) {
    if (errno == EINTR || errno == EAGAIN) return false;
    throw llm::Error(llm::ErrorCode::io, fmt::format("cannot read the input: {}", std::strerror(errno)));
  }
  if (n == 0) end_ = true;
  buffer_.append(bytes, static_cast<std::size_t>(n));
  read_bytes_ += static_cast<std::uint64_t>(n);
  return true;
}

std::optional<LineReader::Line> LineReader::take_line() {
  const std::size_t newline = buffer_.find('\n', scanned_);
  if (newline == std::string::npos) {
    scanned_ = buffer_.size();
    if (buffer_.size() > max_line_) {
      skipping_ = true;
      buffer_.clear();
      scanned_ = 0;
    }
    if (!end_ || (buffer_.empty() && !skipping_)) return std::nullopt;
  }
  Line line{.text = {}, .number = ++number_, .too_long = skipping_};
  const std::size_t length = std::min(newline, buffer_.size());
  line.too_long = line.too_long || length > max_line_;
  if (!line.too_long) line.text = buffer_.substr(0, length);
  buffer_.erase(0, newline == std::string::npos ? length : length + 1);
  scanned_ = 0;
  skipping_ = false;
  if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
  return line;
}

std::optional<LineReader::Line> LineReader::next(bool wait) {
  for (;;) {
    while (std::optional<Line> line = take_line()) {
      if (line->too_long || line->text.find_first_not_of(" \t") != std::string::npos) return line;
    }
    if (end_ || (!fill(wait) && !wait) || interrupted()) return std::nullopt;
  }
}

}  // namespace llmgen
