// Matrix-matrix products of quantised weights on AMX tiles. A tile holds the integer sums of 16 tokens x 16 rows over
// one group of columns; they are exact, and go on as in the other products, so the results have the same bits.

constexpr std::int64_t min_tile_tokens = 8;
constexpr int tile_tokens = 16;

// Tiles 0-3: sums [n_tokens][16]; 4, 5: activations [n_tokens][n_columns]; 6, 7: panel [n_columns / 4][16 words].
inline void configure_int8_tiles(int n_tokens, int n_columns) {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = static_cast<std::uint16_t>(i == 4 || i == 5 ? n_columns : 64);
    config.rows[i] = static_cast<std::uint8_t>(i < 6 ? n_tokens : n_columns / 4);
  }
  // The intrinsic reads memory that the compiler does not know of; so do the loads of tiles that follow.
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// The packed rows of a tile's tokens at equal distances, from some column on.
struct TokenRows {
  PackedRow first;
  std::int64_t stride;
};

// Integer sums of one group of columns: [n_scales][tokens][16 rows].
template <int n_scales>
struct TileSums {
  alignas(64) std::int32_t sums[n_scales][tile_tokens * n_lanes];
};

// Groups whose sums are under way in tiles while earlier ones are added up; tiles answer late.
constexpr int groups_ahead = 4;

// Begins the sums of group g; slot: g % groups_ahead.
template <int n_scales, int slot>
void tile_sums(const Panel& panel, std::int64_t g, const TokenRows& act, TileSums<n_scales>* out) {
  const std::int8_t* codes = act.first.codes + 32 * g;
  const std::byte* words = panel.codes + g * 32 * n_lanes;
  constexpr std::int64_t words_stride = 4 * n_lanes;
  constexpr int sum = n_scales * slot % groups_ahead;
  constexpr int input = 4 + slot % 2;
  tile_load<input>(codes, act.stride);
  tile_load<input + 2>(words, words_stride);
  tile_zero<sum>();
  tile_dot_int8<sum, input, input + 2>();
  tile_store<sum>(out[slot].sums[0], words_stride);
  if constexpr (n_scales == 2) {
    constexpr int other = 9 - input;
    tile_load<other>(codes + 16, act.stride);
    tile_load<other + 2>(words + 4 * words_stride, words_stride);
    tile_zero<sum + 1>();
    tile_dot_int8<sum + 1, other, other + 2>();
    tile_store<sum + 1>(out[slot].sums[1], words_stride);
  }
}

template <int n_scales>
void tile_sums_of_slot(const Panel& panel, std::int64_t g, const TokenRows& act, TileSums<n_scales>* out) {
  switch (g % groups_ahead) {
    case 0:
      return tile_sums<n_scales, 0>(panel, g, act, out);
    case 1:
      return tile_sums<n_scales, 1>(panel, g, act, out);
    case 2:
      return tile_sums<n_scales, 2>(panel, g, act, out);
    default:
      return tile_sums<n_scales, 3>(panel, g, act, out);
  }
}

// Adds group g to the outputs of n_tokens tokens.
template <typename Kind, int n_tokens>
void add_tile_sums(const Panel& panel, std::int64_t g, const TokenRows& act, const TileSums<Kind::n_scales>& sums,
                   VecF* acc) {
  VecF scale[Kind::n_scales];
  VecF min[Kind::n_scales];
  for (int s = 0; s < Kind::n_scales; ++s) {
    scale[s] = load(panel.scale + (g * Kind::n_scales + s) * n_lanes);
    if constexpr (Kind::has_min) min[s] = load(panel.min + (g * Kind::n_scales + s) * n_lanes);
  }
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) {
    VecF dots[Kind::n_scales];
    for (int s = 0; s < Kind::n_scales; ++s) dots[s] = to_float(load_i(sums.sums[s] + t * n_lanes));
    acc[t] = add_group<Kind>(dots, scale, min, act.first.moved_by(t * act.stride), g, acc[t]);
  }
}

// Memory of weights that is needed soon, fetched into the first-level cache a little with every group: tiles leave it
// idle.
struct Fetch {
  const std::uint8_t* weight = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t at = 0;  // bytes of n_lanes rows, see fetch_ahead
  std::int64_t end = 0;
  std::int64_t group_bytes = 0;
  std::int64_t ahead = 0;

  void next() {
    const std::int64_t to = at + group_bytes < end ? at + group_bytes : end;
    fetch_ahead<3>(weight, row_stride, at, to, ahead);
    at = to;
  }
};

struct NoFetch {
  void next() {}
};

// Adds n_groups groups to the outputs so far: out [n_tokens][n_lanes].
template <typename Kind, int n_tokens, typename Fetching>
void int8_tile(const Panel& panel, std::int64_t n_groups, const TokenRows& act, Fetching fetch, float* out) {
  constexpr int n_scales = Kind::n_scales;
  TileSums<n_scales> sums[groups_ahead];
  VecF acc[n_tokens];
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) acc[t] = load(out + t * n_lanes);
  for (std::int64_t g = 0; g < groups_ahead && g < n_groups; ++g) tile_sums_of_slot<n_scales>(panel, g, act, sums);
  std::int64_t g = 0;
  if constexpr (n_tokens == tile_tokens) {
    for (; g + 2 * groups_ahead <= n_groups; g += groups_ahead) {
      fetch.next();
      add_tile_sums<Kind, n_tokens>(panel, g, act, sums[0], acc);
      tile_sums<n_scales, 0>(panel, g + groups_ahead, act, sums);
      fetch.next();
      add_tile_sums<Kind, n_tokens>(panel, g + 1, act, sums[1], acc);
      tile_sums<n_scales, 1>(panel, g + 1 + groups_ahead, act, sums);
      fetch.next();
      add_tile_sums<Kind, n_tokens>(panel, g + 2, act, sums[2], acc);
      tile_sums<n_scales, 2>(panel, g + 2 + groups_ahead, act, sums);
      fetch.next();
      add_tile_sums<Kind, n_tokens>(panel, g + 3, act, sums[3], acc);
      tile_sums<n_scales, 3>(panel, g + 3 + groups_ahead, act, sums);
    }
  }
  for (; g < n_groups; ++g) {
    fetch.next();
    add_tile_sums<Kind, n_tokens>(panel, g, act, sums[g % groups_ahead], acc);
    if (g + groups_ahead < n_groups) tile_sums_of_slot<n_scales>(panel, g + groups_ahead, act, sums);
  }
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) store(out + t * n_lanes, acc[t]);
}

// A tile of up to tile_tokens tokens.
template <typename Kind, typename Fetching>
void int8_tile_of(int n_tokens, const Panel& panel, std::int64_t n_groups, const TokenRows& act, const Fetching& fetch,
                  float* out) {
  switch (n_tokens) {
#define LLM_CASE(n) \
  case n:           \
    return int8_tile<Kind, n, Fetching>(panel, n_groups, act, fetch, out);
    LLM_CASE(1)
    LLM_CASE(2)
    LLM_CASE(3)
    LLM_CASE(4)
    LLM_CASE(5)
    LLM_CASE(6)
    LLM_CASE(7)
    LLM_CASE(8)
    LLM_CASE(9)
    LLM_CASE(10)
    LLM_CASE(11)
    LLM_CASE(12)
    LLM_CASE(13)
    LLM_CASE(14)
    LLM_CASE(15)
    LLM_CASE(16)
#undef LLM_CASE
    default:
      return;
  }
}

// Columns at a time, at most `most`, so that their panel and a tile's activations stay in the first-level cache.
inline std::int64_t columns_at_once(std::int64_t n_cols, std::int64_t most) {
  const std::int64_t n = (n_cols + most - 1) / most;
  const std::int64_t columns = (n_cols + 256 * n - 1) / (256 * n) * 256;
  return columns < n_cols ? columns : n_cols;
}
constexpr std::int64_t stream_columns = 512;
constexpr std::int64_t tile_columns = 1536;

// Tokens of whose activations these columns stay in the second-level cache.
inline std::int64_t tile_tokens_at_once(std::int64_t n_cols) {
  constexpr std::int64_t bytes = std::int64_t{3} << 19;
  return bytes / packed_row_bytes(columns_at_once(n_cols, tile_columns)) / tile_tokens * tile_tokens;
}

inline std::int64_t int8_tiles_gather_begin(std::int64_t n_cols, std::int64_t row_bytes) {
  return (Panel::bytes(n_cols) + n_lanes * row_bytes + 63) / 64 * 64;
}
inline std::int64_t int8_tiles_scratch_bytes(std::int64_t n_cols, std::int64_t row_bytes) {
  return int8_tiles_gather_begin(n_cols, row_bytes) + tokens_at_once(n_cols) * packed_row_bytes(n_cols);
}

// n tokens from `token` on; their activations begin at `act`.
template <typename Type>
void int8_tiles_of_tokens(const MatmulTask& task, const std::byte* act, std::int64_t token, std::int64_t n) {
  using Kind = PanelKind<Type::n_scales, Type::has_min, true, 0>;
  constexpr std::int64_t block_columns = 32 * Type::n_groups;
  const std::int64_t row_bytes = task.n_cols / block_columns * Type::block_bytes;
  const std::int64_t act_bytes = packed_row_bytes(task.n_cols);
  const std::int64_t columns = columns_at_once(task.n_cols, n <= tile_tokens ? stream_columns : tile_columns);
  const auto n_groups_from = [&](std::int64_t column) {
    return (column + columns < task.n_cols ? columns : task.n_cols - column) / 32;
  };
  const auto weight_from = [&](const std::uint8_t* weight, std::int64_t column) {
    return weight + column / block_columns * Type::block_bytes;
  };
  const auto decode = [&](const std::uint8_t* weight, std::int64_t row_stride, std::int64_t ahead,
                          std::int64_t column) {
    PanelSink<Type, 0> sink{Panel(task.scratch, columns)};
    decode_rows<Type>(weight_from(weight, column), row_stride, n_groups_from(column) / Type::n_groups, ahead, sink);
    __asm__ volatile("" : : : "memory");  // tiles read what is written here
    return sink.panel;
  };
  const auto rows_from = [&](std::int64_t t, std::int64_t column) {
    return TokenRows{PackedRow(act + t * act_bytes, task.n_cols).from_group(column / 32), act_bytes};
  };
  alignas(64) float out[tile_tokens * n_lanes];
  if (n <= tile_tokens) {
    // Row after row, so that weights are read in long streams.
    const int n_tokens = static_cast<int>(n);
    configure_int8_tiles(n_tokens, 32 / Type::n_scales);
    for_row_groups(task, row_bytes,
                   [&](const RowGroup& rows, const std::uint8_t* weight, std::int64_t row_stride, std::int64_t ahead) {
                     for (float& x : out) x = 0;
                     for (std::int64_t column = 0; column < task.n_cols; column += columns) {
                       const Panel panel = decode(weight, row_stride, 0, column);
                       const std::int64_t n_groups = n_groups_from(column);
                       const std::int64_t bytes = n_groups / Type::n_groups * Type::block_bytes * n_lanes;
                       const std::int64_t begin = column / block_columns * Type::block_bytes * n_lanes;
                       const Fetch fetch{weight, row_stride, begin, begin + bytes, bytes / n_groups + 1, ahead};
                       int8_tile_of<Kind>(n_tokens, panel, n_groups, rows_from(0, column), fetch, out);
                     }
                     for (int t = 0; t < n_tokens; ++t) rows.write(out_row(task, token + t), load(out + t * n_lanes));
                   });
    return;
  }
  // Columns after columns, so that the activations stay in the cache for all rows.
  const int rest = static_cast<int>(n % tile_tokens);
  for (std::int64_t column = 0; column < task.n_cols; column += columns) {
    const auto tile = [&](int n_tokens, const Panel& panel, const RowGroup& rows, std::int64_t t) {
      for (int i = 0; i < n_tokens; ++i) {
        store(out + i * n_lanes, column == 0 ? zero() : rows.read(out_row(task, token + t + i)));
      }
      int8_tile_of<Kind>(n_tokens, panel, n_groups_from(column), rows_from(t, column), NoFetch{}, out);
      for (int i = 0; i < n_tokens; ++i) rows.write(out_row(task, token + t + i), load(out + i * n_lanes));
    };
    for_row_groups(task, row_bytes,
                   [&](const RowGroup& rows, const std::uint8_t* weight, std::int64_t row_stride, std::int64_t ahead) {
                     const Panel panel = decode(weight, row_stride, ahead, column);
                     configure_int8_tiles(tile_tokens, 32 / Type::n_scales);
                     for (std::int64_t t = 0; t + tile_tokens <= n; t += tile_tokens) tile(tile_tokens, panel, rows, t);
                     if (rest == 0) return;
                     configure_int8_tiles(rest, 32 / Type::n_scales);
                     tile(rest, panel, rows, n - rest);
                   });
  }
}

template <typename Type>
void matmul_int8_tiles(const MatmulTask& task) {
  const std::int64_t row_bytes = task.n_cols / (32 * Type::n_groups) * Type::block_bytes;
  const std::int64_t act_bytes = packed_row_bytes(task.n_cols);
  const bool gather = task.act_rows != nullptr;
  const std::int64_t chunk = gather ? tokens_at_once(task.n_cols) : tile_tokens_at_once(task.n_cols);
  for (std::int64_t token = 0; token < task.n_tokens; token += chunk) {
    const std::int64_t n = token + chunk < task.n_tokens ? chunk : task.n_tokens - token;
    const std::byte* act = packed_act(task, token);
    if (gather) {  // chosen rows: side by side in scratch
      std::byte* copy = task.scratch + int8_tiles_gather_begin(task.n_cols, row_bytes);
      for (std::int64_t t = 0; t < n; ++t) {
        __builtin_memcpy(copy + t * act_bytes, packed_act(task, token + t), static_cast<std::size_t>(act_bytes));
      }
      act = copy;
    }
    int8_tiles_of_tokens<Type>(task, act, token, n);
  }
  _tile_release();
}
