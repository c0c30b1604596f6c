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

namespace {

constexpr std::size_t read_bytes = std::size_t{1} << 16;
constexpr std::size_t kept_capacity = std::size_t{1} << 20;
constexpr int wait_ms = 100;
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t hash) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

LineReader::LineReader(const std::string& path, std::size_t max_line) : max_line_(max_line) {
  if (path != "-") {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw llm::Error(llm::ErrorCode::io, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    owned_ = true;
  }
  struct stat status = {};
  if (fstat(fd_, &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      if (owned_) ::close(fd_);
      throw llm::Error(llm::ErrorCode::io, fmt::format("{} is a folder, expected a file of JSON lines", path));
    }
    if (S_ISREG(status.st_mode)) total_bytes_ = static_cast<std::uint64_t>(status.st_size);
  }
}

LineReader::~LineReader() {
  if (owned_) ::close(fd_);
}

bool LineReader::fill(bool wait) {
  pollfd poller = {.fd = fd_, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&poller, 1, wait ? wait_ms : 0);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return false;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
    if (buffer_.empty() && buffer_.capacity() > kept_capacity) buffer_.shrink_to_fit();
  }
  const std::size_t n_before = buffer_.size();
  buffer_.resize(n_before + read_bytes);
  const ssize_t n = ::read(fd_, buffer_.data() + n_before, read_bytes);
  buffer_.resize(n_before + static_cast<std::size_t>(n > 0 ? n : 0));
  if (n < 0) {
    if (errno == EINTR || errno == EAGAIN) return false;
    throw llm::Error(llm::ErrorCode::io, fmt::format("cannot read the input: {}", std::strerror(errno)));
  }
  if (n == 0) end_ = true;
  return true;
}

void LineReader::drop(std::size_t n) {
  begin_ += n;
  scanned_ = begin_;
  taken_bytes_ += n;
}

std::optional<LineReader::Line> LineReader::take_line() {
  const std::size_t newline = buffer_.find('\n', scanned_);
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  if (newline == std::string::npos) {
    scanned_ = buffer_.size();
    if (rest.size() > max_line_) {
      skipped_hash_ = skipping_ ? hash_bytes(rest, skipped_hash_) : hash_bytes(rest);
      skipping_ = true;
      drop(rest.size());
    }
    if (!end_ || at_end()) return std::nullopt;
  }
  const std::size_t length = newline == std::string::npos ? buffer_.size() - begin_ : newline - begin_;
  std::string_view text = std::string_view(buffer_).substr(begin_, length);
  Line line{.number = ++number_, .too_long = skipping_ || length > max_line_};
  if (!line.too_long) {
    if (number_ == 1 && text.substr(0, byte_order_mark.size()) == byte_order_mark)
      text.remove_prefix(byte_order_mark.size());
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    line.text = text;
  }
  line.hash = skipping_ ? hash_bytes(text, skipped_hash_) : hash_bytes(text);
  drop(newline == std::string::npos ? length : length + 1);
  skipping_ = false;
  return line;
}

std::optional<LineReader::Line> LineReader::next(bool wait) {
  for (;;) {
    while (std::optional<Line> line = take_line()) {
      if (line->too_long || line->text.find_first_not_of(" \t") != std::string::npos) return line;
    }
    if (end_ || interrupted()) return std::nullopt;
    if (!fill(wait)) return std::nullopt;
  }
}

}  // namespace llmgen
