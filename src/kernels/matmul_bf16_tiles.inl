// Products of F16 and BF16 weights on AMX tiles.
//
// A weight is split exactly into bfloat16 parts: high + low for F16, itself for BF16. An activation becomes high + low,
// 16 of its 24 bits. The product sums low * a_high (F16 only), high * a_high and high * a_low; what is left out is
// below 2^-16 of a product.
//
// Order. Columns are cut into superchunks of 16 * width columns. One tile instruction takes a chunk, `width` columns:
// it sums the products of its even members and of its odd ones one after the other from zero, adds both sums, and adds
// the result to the output; denormals count as zero. Member j of chunk c is column j * 16 + c of the superchunk, so the
// matrix-vector product can run sixteen chunks in the lanes of a vector with the same operations in the same order.

constexpr int chunk_lanes = 16;

struct ChunkShape {
  std::int64_t n_super, width;  // width: even, at most 32

  explicit ChunkShape(std::int64_t n_cols) {
    n_super = (n_cols + 511) / 512;
    const std::int64_t per_chunk = (n_cols + chunk_lanes * n_super - 1) / (chunk_lanes * n_super);
    width = (per_chunk + 1) / 2 * 2;
  }
  std::int64_t n_chunks() const { return n_super * chunk_lanes; }
  std::int64_t padded_cols() const { return n_chunks() * width; }
};

// A packed row: high and low parts as floats in column order [padded_cols], then as bfloat16 [n_chunks][width] each.
// The distance of rows is an odd number of cache lines, so that sixteen of them do not fall on the same cache sets.
inline std::int64_t split_row_bytes(std::int64_t n_cols) {
  const std::int64_t lines = (ChunkShape(n_cols).padded_cols() * 12 + 63) / 64;
  return (lines | 1) * 64;
}

struct SplitRow {
  const float *high, *low;
  const std::byte *high_chunks, *low_chunks;

  SplitRow(const std::byte* row, const ChunkShape& shape) {
    const std::int64_t n = shape.padded_cols();
    high = reinterpret_cast<const float*>(row);
    low = high + n;
    high_chunks = row + 8 * n;
    low_chunks = row + 10 * n;
  }
};

inline __m512i bits_of(VecF a) {
  return _mm512_castps_si512(a.v);
}

// Nearest bfloat16, ties away from zero, as float; values are finite.
inline VecF round_to_bf16(VecF a) {
  const __m512i rounded = _mm512_add_epi32(bits_of(a), _mm512_set1_epi32(0x8000));
  return {_mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32(-0x10000)))};
}

// The bfloat16 parts of members 2 p (low half) and 2 p + 1 (high half) of sixteen chunks.
inline __m512i member_pairs(VecF even, VecF odd) {
  return _mm512_or_si512(_mm512_srli_epi32(bits_of(even), 16), bits_of(odd));
}

// The transpose of 16 x 16 words, in two steps: the words of four rows in turns, then their blocks of four in place.
inline void interleave4(const __m512i* rows, __m512i* out) {
  const __m512i low0 = _mm512_unpacklo_epi32(rows[0], rows[1]);
  const __m512i high0 = _mm512_unpackhi_epi32(rows[0], rows[1]);
  const __m512i low1 = _mm512_unpacklo_epi32(rows[2], rows[3]);
  const __m512i high1 = _mm512_unpackhi_epi32(rows[2], rows[3]);
  out[0] = _mm512_unpacklo_epi64(low0, low1);
  out[1] = _mm512_unpackhi_epi64(low0, low1);
  out[2] = _mm512_unpacklo_epi64(high0, high1);
  out[3] = _mm512_unpackhi_epi64(high0, high1);
}
// put(i, column i) for each of the 16 columns; a: what interleave4 made of the rows.
template <typename Put>
void put_columns(const __m512i* a, Put put) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i b0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
    const __m512i b1 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
    const __m512i b2 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    const __m512i b3 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    put(i, _mm512_shuffle_i32x4(b0, b2, 0x88));
    put(i + 4, _mm512_shuffle_i32x4(b1, b3, 0x88));
    put(i + 8, _mm512_shuffle_i32x4(b0, b2, 0xdd));
    put(i + 12, _mm512_shuffle_i32x4(b1, b3, 0xdd));
  }
}

inline void pack_act_split(const float* x, std::int64_t n_cols, std::byte* out) {
  const ChunkShape shape(n_cols);
  const std::int64_t n = shape.padded_cols();
  float* high = reinterpret_cast<float*>(out);
  float* low = high + n;
  std::byte* part_chunks[2] = {out + 8 * n, out + 10 * n};
  const __mmask16 pairs_of_chunk = first_lanes(shape.width / 2);
  for (std::int64_t s = 0; s < shape.n_super; ++s) {
    const std::int64_t first = s * chunk_lanes * shape.width;
    __m512i pairs[2][chunk_lanes] = {};  // [part][pair of members], lanes are chunks
    for (std::int64_t j = 0; j < shape.width; j += 2) {
      VecF part[2][2];  // [high, low][member]
      for (int member = 0; member < 2; ++member) {
        const std::int64_t column = first + (j + member) * chunk_lanes;
        const std::int64_t rest = n_cols - column;
        const VecF v = rest >= chunk_lanes ? load(x + column) : rest > 0 ? load_part(x + column, rest) : zero();
        part[0][member] = round_to_bf16(v);
        part[1][member] = round_to_bf16(v - part[0][member]);
        store(high + column, part[0][member]);
        store(low + column, part[1][member]);
      }
      for (int i = 0; i < 2; ++i) pairs[i][j / 2] = member_pairs(part[i][0], part[i][1]);
    }
    for (int i = 0; i < 2; ++i) {
      __m512i turns[chunk_lanes];
      for (int j = 0; j < chunk_lanes; j += 4) interleave4(pairs[i] + j, turns + j);
      put_columns(turns, [&](int c, __m512i chunk) {
        _mm512_mask_storeu_epi32(part_chunks[i] + 2 * (first + c * shape.width), pairs_of_chunk, chunk);
      });
    }
  }
}

// Exact parts of weights.
struct SplitF16 {
  static constexpr int n_parts = 2;
  static VecF load_columns(const std::uint16_t* p) { return load_f16(p); }
  static VecF load_columns_part(const std::uint16_t* p, std::int64_t n) { return load_f16_part(p, n); }
  static VecF high(VecF w) { return {_mm512_castsi512_ps(_mm512_and_si512(bits_of(w), _mm512_set1_epi32(-0x10000)))}; }
};
struct SplitBF16 {
  static constexpr int n_parts = 1;
  static VecF load_columns(const std::uint16_t* p) { return load_bf16(p); }
  static VecF load_columns_part(const std::uint16_t* p, std::int64_t n) { return load_bf16_part(p, n); }
  static VecF high(VecF w) { return w; }
};

template <typename Split>
VecF columns_or_zero(const std::uint16_t* row, std::int64_t column, std::int64_t n_cols) {
  const std::int64_t rest = n_cols - column;
  if (rest >= chunk_lanes) return Split::load_columns(row + column);
  return rest > 0 ? Split::load_columns_part(row + column, rest) : zero();
}

// --- matrix-vector ---

constexpr std::int64_t stream_ahead = 256;  // elements to fetch ahead in a row
// Rows read in turns, a cache line of each: memory gives most to several streams at once. Their sums fill the
// registers.
constexpr int rows_in_turns = 4;

// Denormals count as zero, as in tile instructions.
class FlushDenormals {
 public:
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
  ~FlushDenormals() { _mm_setcsr(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_;
};

// Sums of sixteen chunks of n_rows rows, chunk c in lane c; products in the order of the tile instructions. `whole`:
// all columns of the superchunk exist.
template <typename Split, bool whole, int n_rows>
void chunk_sums(const std::uint16_t* rows, std::int64_t row_stride, const SplitRow& act, std::int64_t first,
                std::int64_t width, std::int64_t n_cols, VecF* sums) {
  constexpr int n_products = Split::n_parts + 1;
  VecF sum[n_rows][2][n_products];
#pragma GCC unroll 4
  for (int r = 0; r < n_rows; ++r) {
#pragma GCC unroll 2
    for (int member = 0; member < 2; ++member) {
#pragma GCC unroll 3
      for (int i = 0; i < n_products; ++i) sum[r][member][i] = zero();
    }
  }
  for (std::int64_t j = 0; j < width; j += 2) {
#pragma GCC unroll 4
    for (int r = 0; r < n_rows; ++r) {
      __builtin_prefetch(rows + r * row_stride + first + j * chunk_lanes + stream_ahead, 0, 3);
    }
#pragma GCC unroll 2
    for (int member = 0; member < 2; ++member) {
      const std::int64_t column = first + (j + member) * chunk_lanes;
      const VecF a_high = load(act.high + column);
      const VecF a_low = load(act.low + column);
#pragma GCC unroll 4
      for (int r = 0; r < n_rows; ++r) {
        const std::uint16_t* row = rows + r * row_stride;
        const VecF w = whole ? Split::load_columns(row + column) : columns_or_zero<Split>(row, column, n_cols);
        const VecF high = Split::high(w);
        if constexpr (Split::n_parts == 2) sum[r][member][2] = madd(w - high, a_high, sum[r][member][2]);
        sum[r][member][0] = madd(high, a_high, sum[r][member][0]);
        sum[r][member][1] = madd(high, a_low, sum[r][member][1]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < n_rows; ++r) {
#pragma GCC unroll 3
    for (int i = 0; i < n_products; ++i) sums[i * chunk_lanes + r] = sum[r][0][i] + sum[r][1][i];
  }
}

// The outputs of n_rows rows, row_stride elements apart, a lane each.
template <typename Split>
VecF split_vector_rows(const std::uint16_t* weight, std::int64_t row_stride, std::int64_t n_cols,
                       const ChunkShape& shape, const SplitRow& act, int n_rows) {
  constexpr int n_products = Split::n_parts + 1;
  VecF acc = zero();
  for (std::int64_t s = 0; s < shape.n_super; ++s) {
    const std::int64_t first = s * chunk_lanes * shape.width;
    VecF sums[3 * chunk_lanes];  // [product][row], lanes are chunks
    if (first + chunk_lanes * shape.width <= n_cols && n_rows == chunk_lanes) {
      for (int r = 0; r < chunk_lanes; r += rows_in_turns) {
        chunk_sums<Split, true, rows_in_turns>(weight + r * row_stride, row_stride, act, first, shape.width, n_cols,
                                               sums + r);
      }
    } else {
      for (int r = 0; r < n_rows; ++r) {
        chunk_sums<Split, false, 1>(weight + r * row_stride, row_stride, act, first, shape.width, n_cols, sums + r);
      }
    }
    for (int i = 0; i < n_products; ++i) {
      for (int r = n_rows; r < chunk_lanes; ++r) sums[i * chunk_lanes + r] = zero();
      __m512i words[chunk_lanes];
      for (int r = 0; r < chunk_lanes; r += 4) {
        __m512i rows[4];
        for (int q = 0; q < 4; ++q) rows[q] = bits_of(sums[i * chunk_lanes + r + q]);
        interleave4(rows, words + r);
      }
      put_columns(words, [&](int c, __m512i column) { sums[i * chunk_lanes + c].v = _mm512_castsi512_ps(column); });
    }
    for (int c = 0; c < chunk_lanes; ++c) {
      if constexpr (Split::n_parts == 2) acc = acc + sums[2 * chunk_lanes + c];
      acc = acc + sums[c];
      acc = acc + sums[chunk_lanes + c];
    }
  }
  return acc;
}

// --- matrix-matrix ---

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
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
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

constexpr std::int64_t min_split_tile_tokens = 3;

inline const std::byte* split_act(const MatmulTask& task, std::int64_t token) {
  const std::int64_t row = task.act_rows != nullptr ? task.act_rows[token] : token;
  return task.act + row * split_row_bytes(task.n_cols);
}

template <typename Split>
void matmul_split_vectors(const MatmulTask& task) {
  const std::uint16_t* weight = reinterpret_cast<const std::uint16_t*>(task.weight);
  const ChunkShape shape(task.n_cols);
  const FlushDenormals flush;
  // Sixteen rows far apart, each walking a run of rows: long streams come faster from memory.
  const std::int64_t run = (task.row_end - task.row_begin) / chunk_lanes;
  for (std::int64_t token = 0; token < task.n_tokens; ++token) {
    const SplitRow act(split_act(task, token), shape);
    float* out = out_row(task, token);
    for (std::int64_t row = task.row_begin; row < task.row_begin + run; ++row) {
      float lanes[chunk_lanes];
      store(lanes, split_vector_rows<Split>(weight + row * task.n_cols, run * task.n_cols, task.n_cols, shape, act,
                                            chunk_lanes));
      for (int r = 0; r < chunk_lanes; ++r) out[row + r * run] = lanes[r];
    }
    const std::int64_t rest = task.row_begin + run * chunk_lanes;
    const int n_rest = static_cast<int>(task.row_end - rest);
    if (n_rest == 0) continue;
    store_part(out + rest, n_rest,
               split_vector_rows<Split>(weight + rest * task.n_cols, task.n_cols, task.n_cols, shape, act, n_rest));
  }
}

// Tokens whose activations in one superchunk stay in the second-level cache.
constexpr std::int64_t split_tokens_at_once = 512;

// A token's activations in one superchunk where chosen rows are put side by side; an odd number of cache lines.
inline std::int64_t gathered_split_bytes(const ChunkShape& shape) {
  return (shape.width * chunk_lanes * 4 + 63) / 64 * 64 + 64;
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
  return 4 * split_panel_part_bytes(shape) + SplitScratch::out_bytes +
         split_tokens_at_once * gathered_split_bytes(shape);
}

template <typename Split>
class SplitProduct {
 public:
  explicit SplitProduct(const MatmulTask& task)
      : task_(task), shape_(task.n_cols), scratch_(task.scratch, shape_), act_bytes_(split_row_bytes(task.n_cols)) {}

  void run() {
    if (task_.n_tokens <= 32) {
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
    for (std::int64_t row = task_.row_begin; row < task_.row_end; row += rows_at_once) {
      const std::uint8_t* next = bytes(weight(row + rows_at_once));
      const std::uint8_t* next_end = bytes(weight(row + 2 * rows_at_once));
      Fetch fetch(next, next_end < end ? next_end : end, n_calls);
      for (std::int64_t s = 0; s < shape_.n_super; ++s) {
        decode(row, s, fetch);
        multiply(row, s, 0, task_.n_tokens, tokens(s, 0, task_.n_tokens), fetch);
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
        const SplitTokens act = tokens(s, token, n);
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

  // Activations of n tokens in superchunk s.
  SplitTokens tokens(std::int64_t s, std::int64_t token, std::int64_t n) const {
    const std::int64_t at = s * chunk_lanes * shape_.width * 2;
    const std::int64_t low = 2 * shape_.padded_cols();
    if (task_.act_rows == nullptr) {
      return {SplitRow(split_act(task_, token), shape_).high_chunks + at, act_bytes_, low};
    }
    const std::int64_t part = shape_.width * chunk_lanes * 2;
    const std::int64_t stride = gathered_split_bytes(shape_);
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
      const bool second_tokens = n_tokens > 16;
      const bool second_rows = rows_from(row) > 16;
      const std::byte* panel = scratch_.panel;
      if (second_tokens && second_rows)
        return split_tile<Split, true, true>(shape_, panel, act, s == 0, fetch, out, stride);
      if (second_tokens) return split_tile<Split, true, false>(shape_, panel, act, s == 0, fetch, out, stride);
      if (second_rows) return split_tile<Split, false, true>(shape_, panel, act, s == 0, fetch, out, stride);
      split_tile<Split, false, false>(shape_, panel, act, s == 0, fetch, out, stride);
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
