// AMX tiles: how they are shaped, their instructions, what goes on beside them.

// 64 bytes as the instruction reads them (Intel SDM, LDTILECFG).
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Tile instructions with the tiles' numbers as constants.
template <int tile>
inline void tile_load(const void* from, std::int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile));
}
template <int tile>
inline void tile_store(void* to, std::int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
inline void tile_zero() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
}
// sums += a b, both signed.
template <int sums, int a, int b>
inline void tile_dot_int8() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}
// sums += a b in bfloat16.
template <int sums, int a, int b>
inline void tile_dot_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}

// Between writing memory and loading tiles from it, or storing tiles and reading it: the compiler does not see what
// tile instructions read.
inline void order_tile_memory() {
  __asm__ volatile("" : : : "memory");
}

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
