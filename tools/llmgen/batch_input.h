#ifndef LLMGEN_BATCH_INPUT_H
#define LLMGEN_BATCH_INPUT_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace llmgen {

// Lines of a file or stream, without waiting for more input than the caller wants to wait for.
class LineReader {
 public:
  struct Line {
    std::string text;          // without the newline
    std::uint64_t number = 0;  // counted from 1, blank lines too
    bool too_long = false;     // text was dropped: the line has more than max_line bytes
  };

  // path "-" is standard input. Throws Error(io).
  explicit LineReader(const std::string& path, std::size_t max_line = std::size_t{64} << 20);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line that is not blank. With wait = false only what is there already. Nothing at the end of the input, and
  // when nothing is there; at_end() tells which.
  std::optional<Line> next(bool wait);
  bool at_end() const { return end_ && buffer_.empty(); }
  // Size of the file if it is one, for a progress bar, and how much of it has been read.
  std::uint64_t total_bytes() const { return total_bytes_; }
  std::uint64_t read_bytes() const { return read_bytes_; }

 private:
  bool fill(bool wait);
  std::optional<Line> take_line();

  int fd_ = 0;
  bool owned_ = false, end_ = false, skipping_ = false;
  std::size_t max_line_, scanned_ = 0;
  std::string buffer_;
  std::uint64_t number_ = 0, total_bytes_ = 0, read_bytes_ = 0;
};

}  // namespace llmgen

#endif
