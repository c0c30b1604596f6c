#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <llm/error.hpp>
#include <utility>

#include "base/io_error.h"

namespace llm {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
constexpr int max_names = 1000;

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  buffer_.reserve(buffer_bytes);
  struct stat facts = {};
  if (::stat(path_.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_io(path_, "cannot be written", errno);
    return;
  }
  // A link stays; what it names is replaced.
  std::error_code unresolved;
  const std::filesystem::path target = std::filesystem::canonical(path_, unresolved);
  if (!unresolved) path_ = target.string();
  for (int i = 0; descriptor_ < 0; ++i) {
    temporary_path_ = fmt::format("{}.{}-{}.part", path_, ::getpid(), i);
    descriptor_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && (errno != EEXIST || i == max_names)) fail_io(path_, "cannot be written", errno);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  n_written_ += bytes.size();
  if (bytes.size() >= buffer_bytes - buffer_.size()) {
    flush();
    if (bytes.size() >= buffer_bytes) return write_through(bytes);
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::flush() {
  write_through(buffer_);
  buffer_.clear();
}

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(path_, "cannot be written", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void AtomicFile::commit() {
  flush();
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    const int error = errno;
    if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
    fail_io(path_, "cannot be written", error);
  }
  if (temporary_path_.empty()) return;
  if (std::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_path_.c_str());
    fail_io(path_, "cannot be put in place", error);
  }
}

}  // namespace llm
