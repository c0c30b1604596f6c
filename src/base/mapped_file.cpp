#include "base/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <llm/error.hpp>
#include <utility>

#include "base/io_error.h"

namespace llm {
namespace {

// Bytes between two calls of progress.
constexpr std::size_t chunk_bytes = std::size_t{8} << 20;

void report(const ReadProgress& progress, const std::string& path, std::uint64_t done, std::uint64_t total) {
  if (progress && !progress(done, total)) {
    throw Error(ErrorCode::cancelled, fmt::format("{}: loading was cancelled", path));
  }
}

}  // namespace

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail_io(path_, "cannot be opened", errno);
  try {
    struct stat facts = {};
    if (::fstat(descriptor_, &facts) != 0) fail_io(path_, "cannot be examined", errno);
    if (S_ISDIR(facts.st_mode)) throw Error(ErrorCode::io, fmt::format("{}: is a directory, expected a file", path_));
    if (!S_ISREG(facts.st_mode)) throw Error(ErrorCode::io, fmt::format("{}: is not a regular file", path_));
    if (static_cast<std::uint64_t>(facts.st_size) > std::numeric_limits<std::size_t>::max() / 2) {
      throw Error(ErrorCode::io, fmt::format("{}: {} bytes do not fit in the address space", path_, facts.st_size));
    }
    size_ = static_cast<std::size_t>(facts.st_size);
    if (size_ == 0) return;
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (address == MAP_FAILED) {
      size_ = 0;
      fail_io(path_, "cannot be mapped", errno);
    }
    data_ = static_cast<std::byte*>(address);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void MappedFile::swap(MappedFile& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(is_private_copy_, other.is_private_copy_);
}

void MappedFile::read_into_memory(const ReadProgress& progress) {
  if (size_ == 0) return;
  void* address = ::mmap(data_, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (address == MAP_FAILED) {
    throw Error(ErrorCode::memory, fmt::format("{}: no memory for its {} bytes", path_, size_));
  }
  is_private_copy_ = true;
  ::madvise(data_, size_, MADV_HUGEPAGE);
  std::size_t done = 0;
  while (done < size_) {
    report(progress, path_, done, size_);
    const ssize_t n = ::pread(descriptor_, data_ + done, std::min(chunk_bytes, size_ - done), static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(path_, "cannot be read", errno);
    if (n == 0) {
      throw Error(ErrorCode::io, fmt::format("{}: ends after {} bytes, had {} when opened", path_, done, size_));
    }
    done += static_cast<std::size_t>(n);
  }
  if (::mprotect(data_, size_, PROT_READ) != 0) fail_io(path_, "cannot be protected", errno);
  report(progress, path_, size_, size_);
}

void MappedFile::read_ahead(const ReadProgress& progress) const {
  constexpr std::size_t page_bytes = 4096;
  for (std::size_t done = 0; done < size_; done += chunk_bytes) {
    report(progress, path_, done, size_);
    const std::size_t n = std::min(chunk_bytes, size_ - done);
    if (::madvise(data_ + done, n, MADV_POPULATE_READ) == 0) continue;
    if (errno != EINVAL) fail_io(path_, "cannot be read", errno);
    // Kernels before Linux 5.14: touch each page.
    for (std::size_t i = 0; i < n; i += page_bytes) {
      static_cast<void>(*static_cast<const volatile std::byte*>(data_ + done + i));
    }
  }
  report(progress, path_, size_, size_);
}

void MappedFile::release(std::span<const std::byte> range) const {
  const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(range.data()) + page - 1) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(range.data() + range.size()) / page * page;
  if (is_private_copy_ || begin >= end) return;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

void MappedFile::lock() {
  if (size_ == 0) return;
  if (::mlock(data_, size_) != 0) {
    throw Error(ErrorCode::memory, fmt::format("{}: cannot keep its {} bytes locked in memory: {} (see ulimit -l)",
                                               path_, size_, std::strerror(errno)));
  }
}

}  // namespace llm
