// Matrix-matrix products of weights in bfloat16 parts on AMX tiles (bf16_parts.inl).

// Sixteen rows of weights in one superchunk as tiles: [part][16 chunks][width / 2][16 rows] pairs of bfloat16.
inline std::int64_t split_panel_part_bytes(const ChunkShape& shape) {
  return chunk_lanes * shape.width * chunk_lanes * 2;
}

// weight: the superchunk's first column of the first row. n_columns: how many of its columns exist; `whole`: all of
// them, and sixteen rows.
template <typename Split, bool whole, typename Fetching>
void fill_split_panel(const std::uint16_t* weight, std::int64_t row_stride, std::int64_t n_columns,
                      const ChunkShape& shape, int n_rows, Fetching& fetch, std::byte* panel) {
  const std::int64_t chunk_bytes = shape.width * chunk_lanes * 2;
  std::byte* const low_panel = panel + split_panel_part_bytes(shape);
  const auto columns = [&](const std::uint16_t* row, std::int64_t column) {
    return whole ? Split::load_columns(row + column) : columns_or_zero<Split>(row, column, n_columns);
  };
  for (std::int64_t j = 0; j < shape.width; j += 2) {
    const std::int64_t column = j * chunk_lanes;
    __m512i high[chunk_lanes];
    __m512i low[chunk_lanes];
    for (int r = 0; r < chunk_lanes; r += 4) {
      __m512i high_rows[4];
      __m512i low_rows[4];
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const std::uint16_t* row = weight + (whole || r + q < n_rows ? r + q : n_rows - 1) * row_stride;
        const VecF even = columns(row, column);
        const VecF odd = columns(row, column + chunk_lanes);
        const VecF even_high = Split::high(even);
        const VecF odd_high = Split::high(odd);
        high_rows[q] = member_pairs(even_high, odd_high);
        if constexpr (Split::n_parts == 2) low_rows[q] = member_pairs(even - even_high, odd - odd_high);
      }
      interleave4(high_rows, high + r);
      if constexpr (Split::n_parts == 2) interleave4(low_rows, low + r);
    }
    const auto put = [&](std::byte* to) {
      return [to, chunk_bytes](int c, __m512i pairs) { _mm512_store_si512(to + c * chunk_bytes, pairs); };
    };
    put_columns(high, put(panel + j * 32));
    if constexpr (Split::n_parts == 2) put_columns(low, put(low_panel + j * 32));
    fetch.next();
  }
  order_tile_memory();
}

template <typename Split, typename Fetching>
void split_panel(const std::uint16_t* weight, std::int64_t row_stride, std::int64_t n_columns, const ChunkShape& shape,
                 int n_rows, Fetching& fetch, std::byte* panel) {
  if (n_rows == chunk_lanes && n_columns >= chunk_lanes * shape.width) {
    return fill_split_panel<Split, true>(weight, row_stride, n_columns, shape, n_rows, fetch, panel);
  }
  fill_split_panel<Split, false>(weight, row_stride, n_columns, shape, n_rows, fetch, panel);
}

// Activations of a tile's tokens in one superchunk: rows of high parts at equal distances, low parts behind them.
struct SplitTokens {
  const std::byte* high;
  std::int64_t stride, low;  // bytes to the next token, to the low parts
};

// Tiles 0-3: outputs [tokens][rows] of two groups of tokens x two groups of rows; 4, 5: activations of both groups of
// tokens; 6, 7: weights of both groups of rows.
struct SplitTileShape {
  int n_tokens[2], n_rows[2];
  bool operator==(const SplitTileShape&) const = default;

  void configure(std::int64_t width) const {
    TileConfig config;
    const auto set = [&](int tile, int rows, std::int64_t row_bytes) {
      config.rows[tile] = static_cast<std::uint8_t>(rows);
      config.row_bytes[tile] = static_cast<std::uint16_t>(rows > 0 ? row_bytes : 0);
    };
    for (int i = 0; i < 4; ++i) set(i, n_rows[i % 2] > 0 ? n_tokens[i / 2] : 0, 4 * n_rows[i % 2]);
    for (int i = 0; i < 2; ++i) {
      set(4 + i, n_tokens[i], 2 * width);
      set(6 + i, n_rows[i] > 0 ? static_cast<int>(width / 2) : 0, 4 * n_rows[i]);
    }
    config.load();
  }
};

// Products of one pair of parts of a chunk.
template <bool second_tokens, bool second_rows>
void split_products() {
  tile_dot_bf16<0, 4, 6>();
  if constexpr (second_rows) tile_dot_bf16<1, 4, 7>();
  if constexpr (second_tokens) tile_dot_bf16<2, 5, 6>();
  if constexpr (second_tokens && second_rows) tile_dot_bf16<3, 5, 7>();
}

// Adds one superchunk to the outputs [up to 32 tokens][up to 32 rows], out_stride bytes apart; `first`: there are no
// sums so far.
template <typename Split, bool second_tokens, bool second_rows, typename Fetching>
void split_tile(const ChunkShape& shape, const std::byte* panel, const SplitTokens& act, bool first, Fetching& fetch,
                std::byte* out, std::int64_t out_stride) {
  const std::int64_t panel_chunk = shape.width * chunk_lanes * 2;
  const std::int64_t act_chunk = shape.width * 2;
  const std::int64_t part = split_panel_part_bytes(shape);
  const std::int64_t second = 2 * part;  // to the panel of the second group of rows: after both parts of the first
  std::byte* const out2 = out + 16 * out_stride;
  if (first) {
    tile_zero<0>();
    if constexpr (second_rows) tile_zero<1>();
    if constexpr (second_tokens) tile_zero<2>();
    if constexpr (second_tokens && second_rows) tile_zero<3>();
  } else {
    tile_load<0>(out, out_stride);
    if constexpr (second_rows) tile_load<1>(out + 64, out_stride);
    if constexpr (second_tokens) tile_load<2>(out2, out_stride);
    if constexpr (second_tokens && second_rows) tile_load<3>(out2 + 64, out_stride);
  }
  for (int c = 0; c < chunk_lanes; ++c) {
    const std::byte* high = act.high + c * act_chunk;
    const std::byte* w = panel + c * panel_chunk;
    tile_load<4>(high, act.stride);
    if constexpr (second_tokens) tile_load<5>(high + 16 * act.stride, act.stride);
    if constexpr (Split::n_parts == 2) {
      tile_load<6>(w + part, 64);
      if constexpr (second_rows) tile_load<7>(w + second + part, 64);
      split_products<second_tokens, second_rows>();
    }
    tile_load<6>(w, 64);
    if constexpr (second_rows) tile_load<7>(w + second, 64);
    split_products<second_tokens, second_rows>();
    fetch.next();
    tile_load<4>(high + act.low, act.stride);
    if constexpr (second_tokens) tile_load<5>(high + act.low + 16 * act.stride, act.stride);
    split_products<second_tokens, second_rows>();
  }
  tile_store<0>(out, out_stride);
  if constexpr (second_rows) tile_store<1>(out + 64, out_stride);
  if constexpr (second_tokens) tile_store<2>(out2, out_stride);
  if constexpr (second_tokens && second_rows) tile_store<3>(out2 + 64, out_stride);
}

// Tokens whose activations in one superchunk stay in the second-level cache.
constexpr std::int64_t split_tokens_at_once = 512;

// Up to so many tokens take the weights row by row, not superchunk by superchunk.
constexpr std::int64_t few_split_tokens = 32;

// A token's activations in some superchunks where chosen rows are put side by side; an odd number of cache lines.
inline std::int64_t gathered_split_bytes(const ChunkShape& shape, std::int64_t n_super) {
  return ((n_super * shape.width * chunk_lanes * 4 + 63) / 64 | 1) * 64;
}

// Panels of 32 rows, the outputs of a tile, chosen activations side by side.
struct SplitScratch {
  std::byte* panel;
  std::byte* out;
  std::byte* gathered;

  SplitScratch(std::byte* scratch, const ChunkShape& shape)
      : panel(scratch), out(panel + 4 * split_panel_part_bytes(shape)), gathered(out + out_bytes) {}
  static constexpr std::int64_t out_bytes = 32 * 32 * static_cast<std::int64_t>(sizeof(float));
};
inline std::int64_t split_scratch_bytes(std::int64_t n_cols) {
  const ChunkShape shape(n_cols);
  const std::int64_t many = split_tokens_at_once * gathered_split_bytes(shape, 1);
  const std::int64_t few = few_split_tokens * gathered_split_bytes(shape, shape.n_super);
  return 4 * split_panel_part_bytes(shape) + SplitScratch::out_bytes + (many > few ? many : few);
}

template <typename Split>
class SplitProduct {
 public:
  explicit SplitProduct(const MatmulTask& task)
      : task_(task), shape_(task.n_cols), scratch_(task.scratch, shape_), act_bytes_(split_row_bytes(task.n_cols)) {}

  void run() {
    if (task_.n_tokens <= few_split_tokens) {
      run_few_tokens();
    } else {
      run_many_tokens();
    }
    _tile_release();
  }

 private:
  static constexpr std::int64_t rows_at_once = 32;

  const MatmulTask& task_;
  const ChunkShape shape_;
  const SplitScratch scratch_;
  const std::int64_t act_bytes_;
  SplitTileShape configured_ = {};

  // Rows in order, as memory gives them; those that follow are fetched meanwhile.
  void run_few_tokens() {
    const std::int64_t n_calls = shape_.n_super * (2 * (shape_.width / 2) + chunk_lanes);
    const std::uint8_t* const end = bytes(weight(task_.row_end));
    const SplitTokens act = tokens(0, shape_.n_super, 0, task_.n_tokens);
    for (std::int64_t row = task_.row_begin; row < task_.row_end; row += rows_at_once) {
      const std::uint8_t* next = bytes(weight(row + rows_at_once));
      const std::uint8_t* next_end = bytes(weight(row + 2 * rows_at_once));
      Fetch fetch(next, next_end < end ? next_end : end, n_calls);
      for (std::int64_t s = 0; s < shape_.n_super; ++s) {
        decode(row, s, fetch);
        multiply(row, s, 0, task_.n_tokens, {act.high + s * super_bytes(), act.stride, act.low}, fetch);
      }
    }
  }

  // Superchunk after superchunk, so that activations stay in the second-level cache for all rows. The weights that
  // follow are fetched meanwhile.
  void run_many_tokens() {
    NoFetch no_fetch;
    for (std::int64_t token = 0; token < task_.n_tokens; token += split_tokens_at_once) {
      const std::int64_t rest = task_.n_tokens - token;
      const std::int64_t n = rest < split_tokens_at_once ? rest : split_tokens_at_once;
      for (std::int64_t s = 0; s < shape_.n_super; ++s) {
        const SplitTokens act = tokens(s, 1, token, n);
        for (std::int64_t row = task_.row_begin; row < task_.row_end; row += rows_at_once) {
          decode(row, s, no_fetch);
          FetchRows fetch = after(row, s, (n + 31) / 32 * chunk_lanes);
          for (std::int64_t t = 0; t < n; t += 32) {
            const SplitTokens tile = {act.high + t * act.stride, act.stride, act.low};
            multiply(row, s, token + t, n - t < 32 ? n - t : 32, tile, fetch);
          }
        }
      }
    }
  }

  // The weights that are decoded after those of `row` in superchunk s.
  FetchRows after(std::int64_t row, std::int64_t s, std::int64_t n_calls) const {
    const bool is_last = row + rows_at_once >= task_.row_end;
    const std::int64_t next = is_last ? task_.row_begin : row + rows_at_once;
    const std::int64_t begin = (is_last ? s + 1 : s) * chunk_lanes * shape_.width;
    const std::int64_t end = begin + chunk_lanes * shape_.width;
    const std::int64_t n_columns = (end < task_.n_cols ? end : task_.n_cols) - begin;
    return {bytes(weight(next) + begin), 2 * task_.n_cols, 2 * n_columns, rows_from(next), n_calls};
  }

  template <typename Fetching>
  void decode(std::int64_t row, std::int64_t s, Fetching& fetch) const {
    const std::int64_t column = s * chunk_lanes * shape_.width;
    const std::int64_t n_rows = rows_from(row);
    const int n_first = static_cast<int>(n_rows < 16 ? n_rows : 16);
    split_panel<Split>(weight(row) + column, task_.n_cols, task_.n_cols - column, shape_, n_first, fetch,
                       scratch_.panel);
    if (n_rows <= 16) return;
    split_panel<Split>(weight(row + 16) + column, task_.n_cols, task_.n_cols - column, shape_,
                       static_cast<int>(n_rows - 16), fetch, scratch_.panel + 2 * split_panel_part_bytes(shape_));
  }

  // Activations of n tokens in n_super superchunks from s on.
  SplitTokens tokens(std::int64_t s, std::int64_t n_super, std::int64_t token, std::int64_t n) const {
    const std::int64_t at = s * super_bytes();
    const std::int64_t low = shape_.n_super * super_bytes();
    if (task_.act_rows == nullptr) {
      return {SplitRow(split_act(task_, token), shape_).high_chunks + at, act_bytes_, low};
    }
    const std::int64_t part = n_super * super_bytes();
    const std::int64_t stride = gathered_split_bytes(shape_, n_super);
    for (std::int64_t t = 0; t < n; ++t) {
      const std::byte* from = SplitRow(split_act(task_, token + t), shape_).high_chunks + at;
      std::byte* to = scratch_.gathered + t * stride;
      __builtin_memcpy(to, from, static_cast<std::size_t>(part));
      __builtin_memcpy(to + part, from + low, static_cast<std::size_t>(part));
    }
    return {scratch_.gathered, stride, part};
  }

  // Adds superchunk s to up to 32 rows of up to 32 tokens.
  template <typename Fetching>
  void multiply(std::int64_t row, std::int64_t s, std::int64_t token, std::int64_t n_tokens, const SplitTokens& act,
                Fetching& fetch) {
    configure(n_tokens, rows_from(row));
    const auto run = [&](std::byte* out, std::int64_t stride) {
      const bool first = s == 0;
      const std::byte* panel = scratch_.panel;
      if (n_tokens > 16 && rows_from(row) > 16) {
        split_tile<Split, true, true>(shape_, panel, act, first, fetch, out, stride);
      } else if (n_tokens > 16) {
        split_tile<Split, true, false>(shape_, panel, act, first, fetch, out, stride);
      } else if (rows_from(row) > 16) {
        split_tile<Split, false, true>(shape_, panel, act, first, fetch, out, stride);
      } else {
        split_tile<Split, false, false>(shape_, panel, act, first, fetch, out, stride);
      }
    };
    constexpr std::int64_t word = sizeof(float);
    if (task_.out_rows == nullptr) {
      return run(reinterpret_cast<std::byte*>(out_row(task_, token) + row), word * task_.out_stride);
    }
    const std::size_t n_bytes = static_cast<std::size_t>(word * rows_from(row));
    if (s > 0) {
      for (std::int64_t i = 0; i < n_tokens; ++i) {
        __builtin_memcpy(scratch_.out + i * 32 * word, out_row(task_, token + i) + row, n_bytes);
      }
    }
    order_tile_memory();
    run(scratch_.out, 32 * word);
    for (std::int64_t i = 0; i < n_tokens; ++i) {
      __builtin_memcpy(out_row(task_, token + i) + row, scratch_.out + i * 32 * word, n_bytes);
    }
  }

  void configure(std::int64_t n_tokens, std::int64_t n_rows) {
    const auto halves = [](std::int64_t n, int* half) {
      half[0] = static_cast<int>(n < 16 ? n : 16);
      half[1] = static_cast<int>(n) - half[0];
    };
    SplitTileShape needed;
    halves(n_tokens, needed.n_tokens);
    halves(n_rows, needed.n_rows);
    if (needed == configured_) return;
    needed.configure(shape_.width);
    configured_ = needed;
  }

  // Of one part of a token's activations.
  std::int64_t super_bytes() const { return shape_.width * chunk_lanes * 2; }
  std::int64_t rows_from(std::int64_t row) const {
    return task_.row_end - row < rows_at_once ? task_.row_end - row : rows_at_once;
  }
  const std::uint16_t* weight(std::int64_t row) const {
    return reinterpret_cast<const std::uint16_t*>(task_.weight) + row * task_.n_cols;
  }
  static const std::uint8_t* bytes(const std::uint16_t* weight) {
    return reinterpret_cast<const std::uint8_t*>(weight);
  }
};

constexpr std::int64_t min_split_tile_tokens = 3;

template <typename Split>
void matmul_split_of(const MatmulTask& task) {
  if (task.n_tokens < min_split_tile_tokens) return matmul_split_vectors<Split>(task);
  SplitProduct<Split>(task).run();
}

inline bool takes_split_act(TensorType weight) {
  return weight == TensorType::F16 || weight == TensorType::BF16;
}

inline void matmul_split(const MatmulTask& task) {
  if (task.type == TensorType::F16) return matmul_split_of<SplitF16>(task);
  matmul_split_of<SplitBF16>(task);
}
