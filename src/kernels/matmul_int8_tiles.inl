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
  config.load();
}

// The codes of a tile's tokens at equal distances, from some column on.
struct TokenRows {
  const std::int8_t* codes;
  std::int64_t stride;
};

// What goes with the codes, token beside token: scale [n_groups][tile_tokens], sum [n_groups][n_scales][tile_tokens]
// for types with minima.
struct TokenScales {
  float* scale;
  float* sum;

  TokenScales(std::byte* memory, std::int64_t n_groups)
      : scale(reinterpret_cast<float*>(memory)), sum(scale + n_groups * tile_tokens) {}
  template <typename Kind>
  TokenScales from_group(std::int64_t g) const {
    TokenScales scales = *this;
    scales.scale += g * tile_tokens;
    scales.sum += g * Kind::n_scales * tile_tokens;
    return scales;
  }
  static std::int64_t bytes(std::int64_t n_groups) {
    return 3 * n_groups * tile_tokens * static_cast<std::int64_t>(sizeof(float));
  }
};

// numbers [n_numbers] of n_tokens rows, put token beside token.
inline void put_side_by_side(const float* numbers, std::int64_t n_numbers, std::int64_t stride, int n_tokens,
                             float* out) {
  const std::uint8_t* row = reinterpret_cast<const std::uint8_t*>(numbers);
  std::int64_t i = 0;
  if (n_tokens == tile_tokens) {
    for (; i + 4 <= n_numbers; i += 4, row += 4 * sizeof(float)) {
      VecI four[4];
      load_column16(row, stride, four);
      for (const VecI& tokens : four) {
        store_i(out, tokens);
        out += tile_tokens;
      }
    }
  }
  for (; i < n_numbers; ++i, row += sizeof(float), out += tile_tokens) {
    for (int t = 0; t < n_tokens; ++t) __builtin_memcpy(out + t, row + t * stride, sizeof(float));
  }
}

template <typename Kind>
void gather_scales(const PackedRow<Kind::n_parts>& first, std::int64_t stride, std::int64_t n_groups, int n_tokens,
                   const TokenScales& out) {
  put_side_by_side(first.scale, n_groups, stride, n_tokens, out.scale);
  if constexpr (Kind::has_min) {
    const float* sums = Kind::n_scales == 2 ? first.half_sum : first.sum;
    put_side_by_side(sums, n_groups * Kind::n_scales, stride, n_tokens, out.sum);
  }
}

// Weights of activations in two parts, laid out as these are: for every 16 columns what the high parts are multiplied
// with, then what the low parts are. That is 4 w and w where 4 w fits into a byte. Else it is w and w, and a second
// copy of the panel, w and 0, is added three times: 4 high + low = (high + low) + 3 high.
template <typename Type>
struct FinePanelSink {
  static constexpr bool takes_signed = Type::wide && Type::gives_signed;
  static constexpr int n_copies = Type::wide ? 4 : 2;
  Panel panel;
  std::int64_t second;  // bytes to the second copy
  std::int64_t first_group = 0;

  void put(int i, const Columns<Type::n_scales>& c) {
    const std::int64_t g = first_group + i;
    for (int j = 0; j < 8; ++j) {
      VecI word = c.codes[j];
      if constexpr (!takes_signed && Type::offset != 0) word = add_bytes(word, splat_i8(-Type::offset));
      std::byte* high = panel.codes + (g * 64 + j / 4 * 32 + j % 4 * 4) * n_lanes;
      std::byte* low = high + 16 * n_lanes;
      store_i(low, word);
      if constexpr (Type::wide) {
        store_i(high, word);
        store_i(high + second, word);
        store_i(low + second, zero_i());
      } else {
        store_i(high, shift_left<2>(word) & splat_i8(~3));
      }
    }
    for (int s = 0; s < Type::n_scales; ++s) {
      store(panel.scale + (g * Type::n_scales + s) * n_lanes, c.scale[s]);
      if constexpr (Type::has_min) store(panel.min + (g * Type::n_scales + s) * n_lanes, c.min[s]);
    }
  }
};

// Integer sums of 16 or 32 columns, [tokens][16 rows].
struct TileSums {
  alignas(64) std::int32_t sums[tile_tokens * n_lanes];
};

// Products of tiles come in runs: tile instructions beside vector instructions slow both down, so that many of the one
// and many of the other in turns take less time than pairs of them.
constexpr int tile_run = 8;

// A panel for tiles.
struct TilePanel {
  Panel panel;
  std::int64_t second = 0;  // bytes to a second copy of the codes, if there is one
};

// Begins product i of panel and activations, each of 32 / n_scales columns.
template <typename Kind, int slot>
void begin_product(const TilePanel& weights, std::int64_t i, const TokenRows& act) {
  constexpr std::int64_t n_bytes = Kind::n_parts * 32 / Kind::n_scales;  // of a row of activations
  constexpr int input = 4 + slot % 2;
  const std::byte* codes = weights.panel.codes + i * n_bytes * n_lanes;
  tile_zero<slot>();
  tile_load<input>(act.codes + n_bytes * i, act.stride);
  tile_load<input + 2>(codes, 4 * n_lanes);
  tile_dot_int8<slot, input, input + 2>();
  if constexpr (Kind::n_parts == 2 && Kind::wide) {
    tile_load<input + 2>(codes + weights.second, 4 * n_lanes);
    tile_dot_int8<slot, input, input + 2>();
    tile_dot_int8<slot, input, input + 2>();
    tile_dot_int8<slot, input, input + 2>();
  }
}

template <int slot>
void end_product(TileSums& out) {
  tile_store<slot>(out.sums, 4 * n_lanes);
}

// Sums of tile_run products from `begin` on.
template <typename Kind, typename Fetching>
void run_of_products(const TilePanel& panel, std::int64_t begin, const TokenRows& act, Fetching& fetch, TileSums* out) {
  for (int i = 0; i < tile_run; i += 4) {
    begin_product<Kind, 0>(panel, begin + i, act);
    fetch.next();
    begin_product<Kind, 1>(panel, begin + i + 1, act);
    fetch.next();
    begin_product<Kind, 2>(panel, begin + i + 2, act);
    fetch.next();
    begin_product<Kind, 3>(panel, begin + i + 3, act);
    fetch.next();
    end_product<0>(out[i]);
    end_product<1>(out[i + 1]);
    end_product<2>(out[i + 2]);
    end_product<3>(out[i + 3]);
  }
  order_tile_memory();
}

// Sums of n products, fewer than tile_run, from `begin` on.
template <typename Kind>
void last_products(const TilePanel& panel, std::int64_t begin, std::int64_t n, const TokenRows& act, TileSums* out) {
  std::int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    begin_product<Kind, 0>(panel, begin + i, act);
    begin_product<Kind, 1>(panel, begin + i + 1, act);
    end_product<0>(out[i]);
    end_product<1>(out[i + 1]);
  }
  if (i < n) {
    begin_product<Kind, 0>(panel, begin + i, act);
    end_product<0>(out[i]);
  }
  order_tile_memory();
}

// Adds group g to the outputs of n_tokens tokens; its sums: [n_scales].
template <typename Kind, int n_tokens>
void add_tile_sums(const Panel& panel, std::int64_t g, const TokenScales& act, const TileSums* sums, VecF* acc) {
  VecF scale[Kind::n_scales];
  VecF min[Kind::n_scales];
  for (int s = 0; s < Kind::n_scales; ++s) {
    scale[s] = load(panel.scale + (g * Kind::n_scales + s) * n_lanes);
    if constexpr (Kind::has_min) min[s] = load(panel.min + (g * Kind::n_scales + s) * n_lanes);
  }
  const float* act_scale = act.scale + g * tile_tokens;
  const float* act_sum = act.sum + g * Kind::n_scales * tile_tokens;
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) {
    VecF dots[Kind::n_scales];
    float act_sums[Kind::n_scales];
    for (int s = 0; s < Kind::n_scales; ++s) {
      dots[s] = to_float(load_i(sums[s].sums + t * n_lanes));
      if constexpr (Kind::has_min) act_sums[s] = act_sum[s * tile_tokens + t];
    }
    acc[t] = add_group<Kind>(dots, scale, min, act_sums, act_scale[t], acc[t]);
  }
}

// Adds n_groups groups to the outputs so far: out [n_tokens][n_lanes].
template <typename Kind, int n_tokens, typename Fetching>
void int8_tile(const TilePanel& weights, std::int64_t n_groups, const TokenRows& act, const TokenScales& scales,
               Fetching& fetch, float* out) {
  constexpr int n_scales = Kind::n_scales;
  constexpr std::int64_t run = tile_run / n_scales;
  TileSums sums[tile_run];
  VecF acc[n_tokens];
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) acc[t] = load(out + t * n_lanes);
  const auto add = [&](std::int64_t begin, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      fetch.next();
      add_tile_sums<Kind, n_tokens>(weights.panel, begin + i, scales, sums + i * n_scales, acc);
    }
  };
  std::int64_t g = 0;
  for (; g + run <= n_groups; g += run) {
    run_of_products<Kind>(weights, g * n_scales, act, fetch, sums);
    add(g, run);
  }
  if (g < n_groups) {
    last_products<Kind>(weights, g * n_scales, (n_groups - g) * n_scales, act, sums);
    add(g, n_groups - g);
  }
#pragma GCC unroll 16
  for (int t = 0; t < n_tokens; ++t) store(out + t * n_lanes, acc[t]);
}

// A tile of up to tile_tokens tokens.
template <typename Kind, typename Fetching>
void int8_tile_of(int n_tokens, const TilePanel& panel, std::int64_t n_groups, const TokenRows& act,
                  const TokenScales& scales, Fetching& fetch, float* out) {
  switch (n_tokens) {
#define LLM_CASE(n) \
  case n:           \
    return int8_tile<Kind, n, Fetching>(panel, n_groups, act, scales, fetch, out);
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
constexpr std::int64_t few_tokens_columns = 256;
constexpr std::int64_t many_tokens_columns = 1536;

// Groups of n_lanes rows that few tokens are multiplied with at a time.
constexpr int max_groups_at_once = 4;
inline int groups_at_once(std::int64_t row_bytes) {
  constexpr std::int64_t most_bytes = std::int64_t{1} << 18;
  const std::int64_t n = most_bytes / (n_lanes * row_bytes);
  return n < 1 ? 1 : n > max_groups_at_once ? max_groups_at_once : static_cast<int>(n);
}

// Tokens of whose activations these columns stay in the second-level cache.
template <int n_parts>
std::int64_t tile_tokens_at_once(std::int64_t n_cols) {
  constexpr std::int64_t bytes = std::int64_t{3} << 19;
  const std::int64_t row_bytes = packed_row_bytes<n_parts>(columns_at_once(n_cols, many_tokens_columns));
  return bytes / row_bytes / tile_tokens * tile_tokens;
}

inline std::int64_t larger(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}
inline std::int64_t int8_tiles_gather_begin(std::int64_t n_cols, std::int64_t row_bytes) {
  return (Panel::area(n_cols) + n_lanes * row_bytes + 63) / 64 * 64;
}
inline std::int64_t int8_tiles_scales_begin(std::int64_t n_cols, std::int64_t row_bytes) {
  return int8_tiles_gather_begin(n_cols, row_bytes) + larger(tokens_at_once<1>(n_cols) * packed_row_bytes<1>(n_cols),
                                                             tokens_at_once<2>(n_cols) * packed_row_bytes<2>(n_cols));
}
// Scales of one tile with all columns, or of many tiles with the columns of one panel.
inline std::int64_t int8_tiles_scratch_bytes(std::int64_t n_cols, std::int64_t row_bytes) {
  const std::int64_t most = larger(tile_tokens_at_once<1>(n_cols), tokens_at_once<1>(n_cols));
  const std::int64_t n_tiles = (most + tile_tokens - 1) / tile_tokens;
  const std::int64_t one = TokenScales::bytes(n_cols / 32);
  const std::int64_t many = n_tiles * TokenScales::bytes(columns_at_once(n_cols, many_tokens_columns) / 32);
  return int8_tiles_scales_begin(n_cols, row_bytes) + larger(one, many);
}

// The product with n_tokens tokens from `token` on, whose packed activations lie one after the other at `act`.
template <typename Type, int n_parts>
struct TiledProduct {
  using Kind = PanelKind<Type::n_scales, Type::has_min, n_parts == 1 || Type::wide, 0, n_parts>;
  static constexpr std::int64_t block_columns = 32 * Type::n_groups;
  static constexpr int tile_bytes = n_parts * 32 / Type::n_scales;  // of a token's row

  const MatmulTask& task;
  const std::byte* act;
  std::int64_t token;
  std::int64_t n_tokens;
  // At a time.
  std::int64_t columns = columns_at_once(task.n_cols, n_tokens <= tile_tokens ? few_tokens_columns
                                                      : n_parts == 1          ? many_tokens_columns
                                                                              : copied_columns);

  void run() {
    if (n_tokens <= tile_tokens) {
      run_few_tokens();
    } else {
      run_many_tokens();
    }
  }

  // A few rows at a time, so that activations come from the first-level cache for most of them.
  void run_few_tokens() {
    const TokenScales scales(scales_memory(), task.n_cols / 32);
    gather(0, 0, task.n_cols / 32, scales);
    configure_int8_tiles(static_cast<int>(n_tokens), tile_bytes);
    const int most = groups_at_once(row_bytes());
    RowGroup rows[max_groups_at_once];
    const std::uint8_t* weight[max_groups_at_once];
    int n = 0;
    for_neighbours(task, row_bytes(), task.row_begin, [&](const RowGroup& group, const std::uint8_t* first) {
      rows[n] = group;
      weight[n] = first;
      if (++n < most) return;
      multiply_rows(rows, weight, n, scales);
      n = 0;
    });
    if (n > 0) multiply_rows(rows, weight, n, scales);
  }

  // n groups of rows; as many that follow are fetched meanwhile.
  void multiply_rows(const RowGroup* rows, const std::uint8_t* const* weight, int n, const TokenScales& scales) {
    alignas(64) float out[max_groups_at_once][tile_tokens * n_lanes];
    __builtin_memset(out, 0, static_cast<std::size_t>(n) * sizeof out[0]);
    const std::uint8_t* weight_end = reinterpret_cast<const std::uint8_t*>(task.weight) + task.row_end * row_bytes();
    const std::uint8_t* next = weight[n - 1] + n_lanes * row_bytes();
    const std::uint8_t* next_end = next + n * n_lanes * row_bytes();
    Fetch fetch(next, next_end < weight_end ? next_end : weight_end, n * task.n_cols / 32 * (1 + Type::n_scales));
    for (std::int64_t column = 0; column < task.n_cols; column += columns) {
      for (int i = 0; i < n; ++i) {
        const TilePanel panel = decode(weight[i], 0, column);
        int8_tile_of<Kind>(static_cast<int>(n_tokens), panel, n_groups_from(column), codes(0, column),
                           scales.from_group<Kind>(column / 32), fetch, out[i]);
      }
    }
    for (int i = 0; i < n; ++i) {
      for (std::int64_t t = 0; t < n_tokens; ++t) rows[i].write(out_row(task, token + t), load(out[i] + t * n_lanes));
    }
  }

  // Columns after columns, so that the activations stay in the second-level cache for all rows.
  void run_many_tokens() {
    const std::int64_t whole = n_tokens / tile_tokens * tile_tokens;
    for (std::int64_t column = 0; column < task.n_cols; column += columns) {
      for (std::int64_t t = 0; t < n_tokens; t += tile_tokens) {
        gather(t, column, n_groups_from(column), scales_of_tile(t, column));
      }
      for_row_groups(task, row_bytes(),
                     [&](const RowGroup& rows, const std::uint8_t* weight, std::int64_t, std::int64_t ahead) {
                       const TilePanel panel = decode(weight, ahead, column);
                       configure_int8_tiles(tile_tokens, tile_bytes);
                       for (std::int64_t t = 0; t < whole; t += tile_tokens) multiply_tile(panel, rows, t, column);
                       if (whole == n_tokens) return;
                       configure_int8_tiles(tokens_of_tile(whole), tile_bytes);
                       multiply_tile(panel, rows, whole, column);
                     });
    }
  }

  void multiply_tile(const TilePanel& panel, const RowGroup& rows, std::int64_t t, std::int64_t column) {
    const int n = tokens_of_tile(t);
    alignas(64) float out[tile_tokens * n_lanes];
    for (int i = 0; i < n; ++i) {
      store(out + i * n_lanes, column == 0 ? zero() : rows.read(out_row(task, token + t + i)));
    }
    NoFetch no_fetch;
    int8_tile_of<Kind>(n, panel, n_groups_from(column), codes(t, column), scales_of_tile(t, column), no_fetch, out);
    for (int i = 0; i < n; ++i) rows.write(out_row(task, token + t + i), load(out + i * n_lanes));
  }

  TilePanel decode(const std::uint8_t* weight, std::int64_t ahead, std::int64_t column) const {
    if constexpr (n_parts == 1) {
      PanelSink<Type, 0> sink{Panel(task.scratch, columns)};
      decode_to(sink, weight, ahead, column);
      return {sink.panel};
    } else {
      FinePanelSink<Type> sink{Panel(task.scratch, columns, FinePanelSink<Type>::n_copies), 2 * columns * n_lanes};
      decode_to(sink, weight, ahead, column);
      return {sink.panel, sink.second};
    }
  }
  template <typename Sink>
  void decode_to(Sink& sink, const std::uint8_t* weight, std::int64_t ahead, std::int64_t column) const {
    decode_rows<Type>(weight + column / block_columns * Type::block_bytes, row_bytes(),
                      n_groups_from(column) / Type::n_groups, ahead, sink);
    order_tile_memory();
  }

  void gather(std::int64_t t, std::int64_t column, std::int64_t n_groups, const TokenScales& to) const {
    gather_scales<Kind>(packed(t).from_group(column / 32), act_bytes(), n_groups, tokens_of_tile(t), to);
  }

  int tokens_of_tile(std::int64_t t) const {
    return static_cast<int>(n_tokens - t < tile_tokens ? n_tokens - t : tile_tokens);
  }
  std::int64_t n_groups_from(std::int64_t column) const {
    return (column + columns < task.n_cols ? columns : task.n_cols - column) / 32;
  }
  std::int64_t row_bytes() const { return task.n_cols / block_columns * Type::block_bytes; }
  std::int64_t act_bytes() const { return packed_row_bytes<n_parts>(task.n_cols); }
  PackedRow<n_parts> packed(std::int64_t t) const { return {act + t * act_bytes(), task.n_cols}; }
  TokenRows codes(std::int64_t t, std::int64_t column) const {
    return {packed(t).codes + n_parts * column, act_bytes()};
  }
  std::byte* scales_memory() const { return task.scratch + int8_tiles_scales_begin(task.n_cols, row_bytes()); }
  TokenScales scales_of_tile(std::int64_t t, std::int64_t column) const {
    const std::int64_t n_groups = n_groups_from(column);
    return TokenScales(scales_memory() + t / tile_tokens * TokenScales::bytes(n_groups), n_groups);
  }
};

template <typename Type, int n_parts>
void matmul_int8_tiles(const MatmulTask& task) {
  const std::int64_t row_bytes = task.n_cols / (32 * Type::n_groups) * Type::block_bytes;
  const std::int64_t act_bytes = packed_row_bytes<n_parts>(task.n_cols);
  const bool gather = task.act_rows != nullptr;
  const std::int64_t chunk = gather ? tokens_at_once<n_parts>(task.n_cols) : tile_tokens_at_once<n_parts>(task.n_cols);
  for (std::int64_t token = 0; token < task.n_tokens; token += chunk) {
    const std::int64_t n = token + chunk < task.n_tokens ? chunk : task.n_tokens - token;
    const std::byte* act = packed_act<n_parts>(task, token);
    if (gather) {  // chosen rows: side by side in scratch
      std::byte* copy = task.scratch + int8_tiles_gather_begin(task.n_cols, row_bytes);
      for (std::int64_t t = 0; t < n; ++t) {
        __builtin_memcpy(copy + t * act_bytes, packed_act<n_parts>(task, token + t),
                         static_cast<std::size_t>(act_bytes));
      }
      act = copy;
    }
    TiledProduct<Type, n_parts>{task, act, token, n}.run();
  }
  _tile_release();
}
