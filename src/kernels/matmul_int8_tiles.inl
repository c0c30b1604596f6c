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

// The packed rows of a chunk of tokens, at equal distances.
struct TokenRows {
  const std::byte* first;
  std::int64_t stride;
};

// Sums of group g; parity: of g, so that two groups are under way at a time.
template <int n_scales, int parity>
void tile_sums(const Panel& panel, std::int64_t g, const TokenRows& act, std::int32_t* sums) {
  const std::byte* codes = act.first + 32 * g;
  const std::byte* words = panel.codes + g * 32 * n_lanes;
  constexpr int words_stride = 4 * n_lanes;
  constexpr int half = tile_tokens * n_lanes;
  if constexpr (parity == 0) {
    _tile_loadd(4, codes, act.stride);
    _tile_loadd(6, words, words_stride);
    _tile_zero(0);
    _tile_dpbssd(0, 4, 6);
    _tile_stored(0, sums, words_stride);
    if constexpr (n_scales == 2) {
      _tile_loadd(5, codes + 16, act.stride);
      _tile_loadd(7, words + 4 * words_stride, words_stride);
      _tile_zero(1);
      _tile_dpbssd(1, 5, 7);
      _tile_stored(1, sums + half, words_stride);
    }
  } else {
    _tile_loadd(5, codes, act.stride);
    _tile_loadd(7, words, words_stride);
    _tile_zero(2);
    _tile_dpbssd(2, 5, 7);
    _tile_stored(2, sums, words_stride);
    if constexpr (n_scales == 2) {
      _tile_loadd(4, codes + 16, act.stride);
      _tile_loadd(6, words + 4 * words_stride, words_stride);
      _tile_zero(3);
      _tile_dpbssd(3, 4, 6);
      _tile_stored(3, sums + half, words_stride);
    }
  }
}

// Adds group g to the outputs of n_tokens tokens.
template <typename Kind, int n_tokens>
void add_tile_sums(const Panel& panel, std::int64_t g, const PackedRow& first, std::int64_t stride,
                   const std::int32_t* sums, VecF* acc) {
  VecF scale[Kind::n_scales];
  VecF min[Kind::n_scales];
  for (int s = 0; s < Kind::n_scales; ++s) {
    scale[s] = load(panel.scale + (g * Kind::n_scales + s) * n_lanes);
    if constexpr (Kind::has_min) min[s] = load(panel.min + (g * Kind::n_scales + s) * n_lanes);
  }
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) {
    VecF dots[Kind::n_scales];
    for (int s = 0; s < Kind::n_scales; ++s) {
      dots[s] = to_float(load_i(sums + (s * tile_tokens + t) * n_lanes));
    }
    acc[t] = add_group<Kind>(dots, scale, min, first.moved_by(t * stride), g, acc[t]);
  }
}

template <typename Kind, int n_tokens>
void int8_tile(const MatmulTask& task, const Panel& panel, const RowGroup& rows, const TokenRows& act,
               std::int64_t token) {
  alignas(64) std::int32_t sums[2][Kind::n_scales * tile_tokens * n_lanes];
  const std::int64_t n_groups = task.n_cols / 32;
  const PackedRow first(act.first, task.n_cols);
  VecF acc[n_tokens];
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) acc[t] = zero();
  tile_sums<Kind::n_scales, 0>(panel, 0, act, sums[0]);
  std::int64_t g = 0;
  for (; g + 2 < n_groups; g += 2) {
    tile_sums<Kind::n_scales, 1>(panel, g + 1, act, sums[1]);
    add_tile_sums<Kind, n_tokens>(panel, g, first, act.stride, sums[0], acc);
    tile_sums<Kind::n_scales, 0>(panel, g + 2, act, sums[0]);
    add_tile_sums<Kind, n_tokens>(panel, g + 1, first, act.stride, sums[1], acc);
  }
  if (g + 1 < n_groups) tile_sums<Kind::n_scales, 1>(panel, g + 1, act, sums[1]);
  add_tile_sums<Kind, n_tokens>(panel, g, first, act.stride, sums[0], acc);
  if (g + 1 < n_groups) add_tile_sums<Kind, n_tokens>(panel, g + 1, first, act.stride, sums[1], acc);
  // Through memory, so that the loops above keep the accumulators in registers.
  float out[n_tokens * n_lanes];
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) store(out + t * n_lanes, acc[t]);
  for (int t = 0; t < n_tokens; ++t) rows.write(out_row(task, token + t), load(out + t * n_lanes));
}

// The last tokens of a chunk, fewer than a tile.
template <typename Kind>
void int8_tile_rest(const MatmulTask& task, const Panel& panel, const RowGroup& rows, const TokenRows& act,
                    std::int64_t token, int n_tokens) {
  switch (n_tokens) {
#define LLM_CASE(n) \
  case n:           \
    return int8_tile<Kind, n>(task, panel, rows, act, token);
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
#undef LLM_CASE
    default:
      return;
  }
}

inline std::int64_t int8_tiles_gather_begin(std::int64_t n_cols, std::int64_t row_bytes) {
  return (Panel::bytes(n_cols) + n_lanes * row_bytes + 63) / 64 * 64;
}
inline std::int64_t int8_tiles_scratch_bytes(std::int64_t n_cols, std::int64_t row_bytes) {
  return int8_tiles_gather_begin(n_cols, row_bytes) + tokens_at_once(n_cols) * packed_row_bytes(n_cols);
}

template <typename Type>
void matmul_int8_tiles(const MatmulTask& task) {
  using Kind = PanelKind<Type::n_scales, Type::has_min, true, 0>;
  const std::int64_t row_bytes = task.n_cols / (32 * Type::n_groups) * Type::block_bytes;
  const std::int64_t act_bytes = packed_row_bytes(task.n_cols);
  const std::int64_t chunk = tokens_at_once(task.n_cols);
  for (std::int64_t token = 0; token < task.n_tokens; token += chunk) {
    const std::int64_t n = token + chunk < task.n_tokens ? chunk : task.n_tokens - token;
    TokenRows act{packed_act(task, token), act_bytes};
    if (task.act_rows != nullptr) {  // chosen rows: side by side in scratch
      std::byte* copy = task.scratch + int8_tiles_gather_begin(task.n_cols, row_bytes);
      for (std::int64_t t = 0; t < n; ++t) {
        __builtin_memcpy(copy + t * act_bytes, packed_act(task, token + t), static_cast<std::size_t>(act_bytes));
      }
      act.first = copy;
    }
    const int rest = static_cast<int>(n % tile_tokens);
    for_row_groups(
        task, row_bytes,
        [&](const RowGroup& rows, const std::uint8_t* weight, std::int64_t row_stride, const FetchAhead& ahead) {
          PanelSink<Type, 0> sink{Panel(task.scratch, task.n_cols)};
          decode_rows<Type>(weight, row_stride, task.n_cols / (32 * Type::n_groups), ahead, sink);
          if (n >= tile_tokens) configure_int8_tiles(tile_tokens, 32 / Type::n_scales);
          std::int64_t t = 0;
          for (; t + tile_tokens <= n; t += tile_tokens) {
            const TokenRows tile{act.first + t * act_bytes, act_bytes};
            int8_tile<Kind, tile_tokens>(task, sink.panel, rows, tile, token + t);
          }
          if (rest != 0) {
            configure_int8_tiles(rest, 32 / Type::n_scales);
            const TokenRows tile{act.first + t * act_bytes, act_bytes};
            int8_tile_rest<Kind>(task, sink.panel, rows, tile, token + t, rest);
          }
        });
  }
  _tile_release();
}
