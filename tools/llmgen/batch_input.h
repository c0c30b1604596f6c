#ifndef LLMGEN_BATCH_INPUT_H
#define LLMGEN_BATCH_INPUT_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace llmgen {

// FNV-1a (64 bits) of bytes that follow those whose hash is given.
std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325);

// Lines of a file or stream, without waiting for more input than the caller wants to wait for.
class LineReader {
 public:
  struct Line {
    std::string text = {};     // without the newline
    std::uint64_t number = 0;  // counted from 1, blank lines too
    std::uint64_t hash = 0;    // of its bytes
    bool too_long = false;     // text was dropped: the line has more than max_line bytes
  };

  // path "-" is standard input. Throws Error(io).
  explicit LineReader(const std::string& path, std::size_t max_line = std::size_t{64} << 20);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line that is not blank. With wait = false only what is there already, else it waits for some time. Nothing
  // at the end of the input, and when nothing came; at_end() tells which.
  std::optional<Line> next(bool wait);
  bool at_end() const { return end_ && begin_ == buffer_.size() && !skipping_; }
  // Size of the file if it is one, for a progress bar, and how much of it the lines so far took.
  std::uint64_t total_bytes() const { return total_bytes_; }
  std::uint64_t taken_bytes() const { return taken_bytes_; }

 private:
  bool fill(bool wait);
  std::optional<Line> take_line();
  void drop(std::size_t n);

  int fd_ = 0;
  bool owned_ = false, end_ = false;
  std::size_t max_line_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of what has not been taken
  std::size_t scanned_ = 0;  // up to here there is no newline
  bool skipping_ = false;    // inside a line that is too long; its hash so far:
  std::uint64_t skipped_hash_ = 0;
  std::uint64_t number_ = 0, total_bytes_ = 0, taken_bytes_ = 0;
};

}  // namespace llmgen

#endif
