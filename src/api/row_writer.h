#ifndef API_ROW_WRITER_H
#define API_ROW_WRITER_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/threads.h"
#include "formats/gguf_writer.h"

namespace llm::api {

// Writes the rows of tensors: pieces of some megabytes are made on the default number of threads, then written in
// order.
class RowWriter {
 public:
  explicit RowWriter(formats::GgufWriter& writer);

  // make(row, scratch, out) writes a row's n_bytes; scratch: scratch_bytes of the thread. After each piece
  // on_rows(number of rows).
  using Make = std::function<void(std::int64_t row, std::span<std::byte> scratch, std::byte* out)>;
  void write(std::int64_t n_rows, std::size_t n_bytes, std::size_t scratch_bytes, const Make& make,
             const std::function<void(std::int64_t)>& on_rows);

 private:
  formats::GgufWriter& writer_;
  int n_threads_;
  std::vector<std::byte> piece_;
};

}  // namespace llm::api

#endif
