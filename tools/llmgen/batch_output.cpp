#include "batch_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "batch_result.h"

namespace llmgen {

using llm::Error;
using llm::ErrorCode;

namespace {

constexpr auto output_wait = std::chrono::milliseconds(100);

// The index of a result line; they begin with it.
std::optional<std::uint64_t> index_of(const std::string& line) {
  constexpr std::string_view start = "{\"index\":";
  if (line.compare(0, start.size(), start) != 0) return std::nullopt;
  std::uint64_t index = 0;
  const char* const end = line.data() + line.size();
  const auto [rest, code] = std::from_chars(line.data() + start.size(), end, index);
  if (code != std::errc() || rest == end || (*rest != ',' && *rest != '}') || line.back() != '}') return std::nullopt;
  return index;
}

}  // namespace

BatchOutput::BatchOutput(const Options& options) : options_(options) {
  if (options_.path == "-") {
    if (options_.resume) throw Error(ErrorCode::usage, "--resume needs -o FILE: standard output cannot be read back");
  } else {
    fd_ = ::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd_ < 0) throw Error(ErrorCode::io, fmt::format("cannot write {}: {}", options_.path, std::strerror(errno)));
    struct stat status = {};
    if (fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) {
      // Held until the process ends, however it ends.
      if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        ::close(fd_);
        throw Error(ErrorCode::io, fmt::format("{}: another llmgen batch is writing to it", options_.path));
      }
      try {
        if (options_.resume) {
          load_answered();
        } else if (::ftruncate(fd_, 0) != 0) {
          throw Error(ErrorCode::io, fmt::format("cannot empty {}: {}", options_.path, std::strerror(errno)));
        }
      } catch (...) {
        ::close(fd_);
        throw;
      }
    }
  }
  writer_ = std::thread([this] { write_lines(); });
}

BatchOutput::~BatchOutput() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  writer_.join();
  if (fd_ != 1) ::close(fd_);
}

// Whole lines count; what follows the last newline was torn by the end of the earlier run and is cut off.
void BatchOutput::load_answered() {
  std::ifstream in(options_.path, std::ios::binary);
  if (!in) throw Error(ErrorCode::io, fmt::format("cannot read {}: {}", options_.path, std::strerror(errno)));
  std::uint64_t kept_bytes = 0, number = 0;
  std::string line;
  while (std::getline(in, line) && !in.eof()) {
    mark(line, ++number);
    kept_bytes += line.size() + 1;
  }
  in.close();
  struct stat status = {};
  if (fstat(fd_, &status) == 0 && static_cast<std::uint64_t>(status.st_size) == kept_bytes) return;
  if (::ftruncate(fd_, static_cast<off_t>(kept_bytes)) != 0) {
    throw Error(ErrorCode::io,
                fmt::format("cannot cut off the unfinished line of {}: {}", options_.path, std::strerror(errno)));
  }
}

void BatchOutput::mark(const std::string& line, std::uint64_t number) {
  constexpr std::uint64_t most_lines = std::uint64_t{1} << 36;  // a bit each
  const std::optional<std::uint64_t> index = index_of(line);
  if (!index || *index >= most_lines) {
    throw Error(ErrorCode::io,
                fmt::format("{}: line {} is no result of llmgen batch, expected {{\"index\":N, ...}}; --resume goes on "
                            "from results only",
                            options_.path, number));
  }
  if (*index >= answered_.size()) answered_.resize(std::max<std::size_t>(*index + 1, answered_.size() * 2));
  if (answered_[*index]) return;
  answered_[*index] = true;
  ++n_answered_;
  if (line.find("\"error\":{") != std::string::npos && is_failure(nlohmann::json::parse(line, nullptr, false)))
    ++n_failed_;
}

void BatchOutput::put(std::uint64_t place, std::function<std::string()> make_line) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(options_.unordered ? n_put_ : place, std::move(make_line));
    ++n_put_;
  }
  changed_.notify_all();
}

std::size_t BatchOutput::n_pending() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size() + (writing_ ? 1 : 0);
}

std::uint64_t BatchOutput::n_written() const {
  const std::lock_guard lock(mutex_);
  return next_ - (writing_ ? 1 : 0);
}

void BatchOutput::wait_below(std::size_t n) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, output_wait, [&] { return failure_ || waiting_.size() + (writing_ ? 1 : 0) < n; });
  if (failure_) std::rethrow_exception(failure_);
}

void BatchOutput::check() const {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void BatchOutput::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return failure_ || (!writing_ && !has_next()); });
  if (failure_) std::rethrow_exception(failure_);
}

bool BatchOutput::has_next() const {
  return !waiting_.empty() && waiting_.begin()->first == next_;
}

BatchOutput::MakeLine BatchOutput::take_next() {
  MakeLine make_line = std::move(waiting_.begin()->second);
  waiting_.erase(waiting_.begin());
  ++next_;
  return make_line;
}

void BatchOutput::write_lines() {
  Output out(fd_, options_.path == "-" ? "standard output" : options_.path);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || has_next(); });
    if (stop_) return;
    MakeLine make_line = take_next();
    writing_ = true;
    lock.unlock();
    try {
      out.line(make_line());
      out.flush();
      make_line = nullptr;
    } catch (...) {
      lock.lock();
      failure_ = std::current_exception();
      writing_ = false;
      changed_.notify_all();
      return;
    }
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

}  // namespace llmgen
