#ifndef BASE_MAPPED_FILE_H
#define BASE_MAPPED_FILE_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace llm {

// Told bytes done and bytes in all; false asks to stop.
using ReadProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

// A whole file in the address space, read only. Opening maps it and reads nothing. The address never changes, also when
// the contents are read into memory later, so views stay valid as long as this object lives.
class MappedFile {
 public:
  MappedFile() = default;
  // Error(io) if the path is no regular file that can be read.
  explicit MappedFile(std::string path);
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    swap(other);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::uint64_t size() const { return size_; }

  // Replaces the mapping by private memory holding the file's bytes, at the same address: Error(memory) if there is no
  // room, Error(io) if reading fails or the file has shrunk, Error(cancelled) if progress says so.
  void read_into_memory(const ReadProgress& progress = {});
  // Reads the mapped pages once from first to last, so that later use finds them in the page cache.
  void read_ahead(const ReadProgress& progress = {}) const;
  // Gives up the physical memory of a range that will not be used soon; its bytes stay readable. Nothing happens to
  // pages that the range only touches.
  void release(std::span<const std::byte> range) const;
  // Keeps all pages in physical memory. Error(memory) if the system refuses.
  void lock();

 private:
  void swap(MappedFile& other) noexcept;

  std::string path_;
  int descriptor_ = -1;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool is_private_copy_ = false;  // after read_into_memory
};

}  // namespace llm

#endif
