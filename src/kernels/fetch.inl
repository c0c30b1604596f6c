// Asking for memory ahead, beside the work on what is there already.

// Fetches memory that is needed soon into the second-level cache, a little with every call.
struct Fetch {
  const std::uint8_t* at;
  const std::uint8_t* end;
  std::int64_t step;  // bytes a call
  const std::uint8_t* goal;

  Fetch(const std::uint8_t* begin, const std::uint8_t* end_, std::int64_t n_calls)
      : at(begin), end(end_), step(end_ > begin ? (end_ - begin) / n_calls + 1 : 0), goal(begin) {}
  void next() {
    goal = goal + step < end ? goal + step : end;
    for (; at < goal; at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// The same for parts of n_rows rows, `stride` bytes apart.
struct FetchRows {
  const std::uint8_t* row;
  std::int64_t stride, row_bytes;
  std::int64_t n_rows;
  std::int64_t n_lines;  // a call
  std::int64_t at = 0;   // bytes into the row

  FetchRows(const std::uint8_t* begin, std::int64_t stride_, std::int64_t row_bytes_, std::int64_t n_rows_,
            std::int64_t n_calls)
      : row(begin),
        stride(stride_),
        row_bytes(row_bytes_),
        n_rows(row_bytes_ > 0 ? n_rows_ : 0),
        n_lines(n_rows * ((row_bytes + 63) / 64) / n_calls + 1) {}
  void next() {
    for (std::int64_t i = 0; i < n_lines && n_rows > 0; ++i) {
      __builtin_prefetch(row + at, 0, 2);
      at += 64;
      if (at < row_bytes) continue;
      at = 0;
      row += stride;
      --n_rows;
    }
  }
};

struct NoFetch {
  void next() {}
};
