#ifndef BASE_ATOMIC_FILE_H
#define BASE_ATOMIC_FILE_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llm {

// A file written from start to end that appears under its name only when whole: until commit() it has a temporary name
// in the same folder, and without commit() it is removed. Devices and pipes are written directly.
// All functions throw Error(io) naming the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  std::uint64_t n_written() const { return n_written_; }
  void commit();

 private:
  void flush();
  void write_through(std::span<const std::byte> bytes);

  std::string path_;
  std::string temporary_path_;  // empty if written directly
  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
  std::uint64_t n_written_ = 0;
};

}  // namespace llm

#endif
