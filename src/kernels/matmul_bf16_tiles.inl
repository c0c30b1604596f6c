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

// Nearest bfloat16, ties to even, as float; values are finite.
inline VecF round_to_bf16(VecF a) {
  const __m512i bits = bits_of(a);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return {_mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32(-0x10000)))};
}

// The bfloat16 parts of members 2 p (low half) and 2 p + 1 (high half) of sixteen chunks.
inline __m512i member_pairs(VecF even, VecF odd) {
  return _mm512_or_si512(_mm512_srli_epi32(bits_of(even), 16), bits_of(odd));
}

inline void pack_act_split(const float* x, std::int64_t n_cols, std::byte* out) {
  const ChunkShape shape(n_cols);
  const std::int64_t n = shape.padded_cols();
  float* high = reinterpret_cast<float*>(out);
  float* low = high + n;
  std::byte* high_chunks = out + 8 * n;
  std::byte* low_chunks = out + 10 * n;
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i chunk_at = _mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(2 * shape.width)));
  for (std::int64_t s = 0; s < shape.n_super; ++s) {
    const std::int64_t first = s * chunk_lanes * shape.width;
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
      const std::int64_t at = 2 * (first + j);
      _mm512_i32scatter_epi32(high_chunks + at, chunk_at, member_pairs(part[0][0], part[0][1]), 1);
      _mm512_i32scatter_epi32(low_chunks + at, chunk_at, member_pairs(part[1][0], part[1][1]), 1);
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

// 16 x 16 words: row i of the result is column i.
inline void transpose16(__m512i* m) {
  __m512i a[16];
  for (int i = 0; i < 16; i += 4) {
    const __m512i low0 = _mm512_unpacklo_epi32(m[i], m[i + 1]);
    const __m512i high0 = _mm512_unpackhi_epi32(m[i], m[i + 1]);
    const __m512i low1 = _mm512_unpacklo_epi32(m[i + 2], m[i + 3]);
    const __m512i high1 = _mm512_unpackhi_epi32(m[i + 2], m[i + 3]);
    a[i] = _mm512_unpacklo_epi64(low0, low1);
    a[i + 1] = _mm512_unpackhi_epi64(low0, low1);
    a[i + 2] = _mm512_unpacklo_epi64(high0, high1);
    a[i + 3] = _mm512_unpackhi_epi64(high0, high1);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512i b0 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
    const __m512i b1 = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
    const __m512i b2 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    const __m512i b3 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    m[i] = _mm512_shuffle_i32x4(b0, b2, 0x88);
    m[i + 8] = _mm512_shuffle_i32x4(b0, b2, 0xdd);
    m[i + 4] = _mm512_shuffle_i32x4(b1, b3, 0x88);
    m[i + 12] = _mm512_shuffle_i32x4(b1, b3, 0xdd);
  }
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
      for (int r = 0; r < chunk_lanes; ++r) words[r] = bits_of(sums[i * chunk_lanes + r]);
      transpose16(words);
      for (int c = 0; c < chunk_lanes; ++c) sums[i * chunk_lanes + c].v = _mm512_castsi512_ps(words[c]);
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

// Sixteen rows of weights as tiles: [part][n_chunks][width / 2][16 rows] pairs of bfloat16.
inline std::int64_t split_panel_bytes(const ChunkShape& shape, int n_parts) {
  return n_parts * shape.padded_cols() * chunk_lanes * 2;
}

template <typename Split>
void split_panel(const std::uint16_t* weight, std::int64_t n_cols, const ChunkShape& shape, int n_rows,
                 const std::uint16_t* prefetch, std::byte* panel) {
  const std::int64_t chunk_bytes = shape.width * chunk_lanes * 2;
  const std::int64_t part_bytes = split_panel_bytes(shape, 1);
  for (std::int64_t s = 0; s < shape.n_super; ++s) {
    const std::int64_t first = s * chunk_lanes * shape.width;
    for (std::int64_t j = 0; j < shape.width; j += 2) {
      __m512i high[chunk_lanes];
      __m512i low[chunk_lanes];
      for (int r = 0; r < chunk_lanes; ++r) {
        const std::uint16_t* row = weight + (r < n_rows ? r : n_rows - 1) * n_cols;
        const std::int64_t column = first + j * chunk_lanes;
        if (prefetch != nullptr) __builtin_prefetch(prefetch + (row - weight) + column, 0, 2);
        const VecF even = columns_or_zero<Split>(row, column, n_cols);
        const VecF odd = columns_or_zero<Split>(row, column + chunk_lanes, n_cols);
        high[r] = member_pairs(Split::high(even), Split::high(odd));
        if constexpr (Split::n_parts == 2) low[r] = member_pairs(even - Split::high(even), odd - Split::high(odd));
      }
      std::byte* to = panel + s * chunk_lanes * chunk_bytes + j / 2 * 64;
      transpose16(high);
      for (int c = 0; c < chunk_lanes; ++c) _mm512_storeu_si512(to + c * chunk_bytes, high[c]);
      if constexpr (Split::n_parts == 2) {
        transpose16(low);
        for (int c = 0; c < chunk_lanes; ++c) _mm512_storeu_si512(to + part_bytes + c * chunk_bytes, low[c]);
      }
    }
  }
}

// Tiles 0-3: outputs [tokens][16 rows] of two groups of tokens x two groups of rows; 4, 5: activations of both groups
// of tokens; 6, 7: weights of both groups of rows.
inline void configure_split_tiles(int n_first, int n_second, std::int64_t width) {
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    const bool second_tokens = i == 2 || i == 3 || i == 5;
    config.row_bytes[i] = static_cast<std::uint16_t>(i == 4 || i == 5 ? 2 * width : 64);
    config.rows[i] = static_cast<std::uint8_t>(i >= 6 ? width / 2 : second_tokens ? n_second : n_first);
  }
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// Up to 32 tokens x 32 rows into out [32][32].
template <typename Split>
void split_tile(const ChunkShape& shape, const std::byte* panel0, const std::byte* panel1, const std::byte* act,
                std::int64_t act_bytes, std::int64_t n_second, float* out) {
  const SplitRow row(act, shape);
  const std::int64_t panel_chunk = shape.width * chunk_lanes * 2;
  const std::int64_t act_chunk = shape.width * 2;
  const std::int64_t part_bytes = split_panel_bytes(shape, 1);
  const std::int64_t second = n_second > 0 ? 16 * act_bytes : 0;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t c = 0; c < shape.n_chunks(); ++c) {
    const std::byte* high = row.high_chunks + c * act_chunk;
    const std::byte* low = row.low_chunks + c * act_chunk;
    const std::byte* w0 = panel0 + c * panel_chunk;
    const std::byte* w1 = panel1 + c * panel_chunk;
    _tile_loadd(4, high, act_bytes);
    _tile_loadd(5, high + second, act_bytes);
    if constexpr (Split::n_parts == 2) {
      _tile_loadd(6, w0 + part_bytes, 64);
      _tile_loadd(7, w1 + part_bytes, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_loadd(6, w0, 64);
    _tile_loadd(7, w1, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, low, act_bytes);
    _tile_loadd(5, low + second, act_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out, 128);
  _tile_stored(1, out + 16, 128);
  _tile_stored(2, out + 16 * 32, 128);
  _tile_stored(3, out + 16 * 32 + 16, 128);
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

// Tokens whose packed rows stay in the second-level cache.
inline std::int64_t split_tokens_at_once(const ChunkShape& shape) {
  const std::int64_t tokens = 1536 * 1024 / (4 * shape.padded_cols()) / 32 * 32;
  return tokens < 32 ? 32 : tokens;
}

// Panels of 32 rows, the outputs of a tile, chosen rows of activations side by side.
struct SplitScratch {
  std::byte* panel[2];
  float* out;
  std::byte* gathered;

  SplitScratch(std::byte* scratch, const ChunkShape& shape) {
    const std::int64_t bytes = split_panel_bytes(shape, 2);
    panel[0] = scratch;
    panel[1] = scratch + bytes;
    out = reinterpret_cast<float*>(scratch + 2 * bytes);
    gathered = scratch + 2 * bytes + 32 * 32 * static_cast<std::int64_t>(sizeof(float));
  }
};
inline std::int64_t split_scratch_bytes(std::int64_t n_cols) {
  const ChunkShape shape(n_cols);
  return 2 * split_panel_bytes(shape, 2) + 32 * 32 * static_cast<std::int64_t>(sizeof(float)) +
         split_tokens_at_once(shape) * split_row_bytes(n_cols);
}

template <typename Split>
void matmul_split_tiles(const MatmulTask& task) {
  const std::uint16_t* weight = reinterpret_cast<const std::uint16_t*>(task.weight);
  const ChunkShape shape(task.n_cols);
  const SplitScratch scratch(task.scratch, shape);
  const std::int64_t act_bytes = split_row_bytes(task.n_cols);
  const std::int64_t chunk = split_tokens_at_once(shape);
  for (std::int64_t token = 0; token < task.n_tokens; token += chunk) {
    const std::int64_t n = token + chunk < task.n_tokens ? chunk : task.n_tokens - token;
    const std::byte* act = split_act(task, token);
    if (task.act_rows != nullptr) {
      for (std::int64_t t = 0; t < n; ++t) {
        __builtin_memcpy(scratch.gathered + t * act_bytes, split_act(task, token + t),
                         static_cast<std::size_t>(act_bytes));
      }
      act = scratch.gathered;
    }
    for (std::int64_t row = task.row_begin; row < task.row_end; row += 32) {
      const std::int64_t n_rows = task.row_end - row < 32 ? task.row_end - row : 32;
      const std::uint16_t* first = weight + row * task.n_cols;
      const std::uint16_t* next = task.row_end - row >= 64 ? first + 32 * task.n_cols : nullptr;
      const int n_first = static_cast<int>(n_rows < 16 ? n_rows : 16);
      split_panel<Split>(first, task.n_cols, shape, n_first, next, scratch.panel[0]);
      const std::byte* panel1 = scratch.panel[0];
      if (n_rows > 16) {
        panel1 = scratch.panel[1];
        split_panel<Split>(first + 16 * task.n_cols, task.n_cols, shape, static_cast<int>(n_rows - 16),
                           next != nullptr ? next + 16 * task.n_cols : nullptr, scratch.panel[1]);
      }
      std::int64_t configured = 0;
      for (std::int64_t t = 0; t < n; t += 32) {
        const std::int64_t n_tokens = n - t < 32 ? n - t : 32;
        const std::int64_t n_second = n_tokens > 16 ? n_tokens - 16 : 0;
        if (n_tokens != configured) {
          // A tile needs a row; without a second group of tokens it repeats the first one's.
          configure_split_tiles(static_cast<int>(n_tokens - n_second), static_cast<int>(n_second > 0 ? n_second : 1),
                                shape.width);
          configured = n_tokens;
        }
        split_tile<Split>(shape, scratch.panel[0], panel1, act + t * act_bytes, act_bytes, n_second, scratch.out);
        for (std::int64_t i = 0; i < n_tokens; ++i) {
          float* out = out_row(task, token + t + i) + row;
          const float* from = scratch.out + i * 32;
          if (n_rows == 32) {
            store(out, load(from));
            store(out + 16, load(from + 16));
          } else {
            for (std::int64_t r = 0; r < n_rows; ++r) out[r] = from[r];
          }
        }
      }
    }
  }
  _tile_release();
}

template <typename Split>
void matmul_split_of(const MatmulTask& task) {
  if (task.n_tokens < min_split_tile_tokens) return matmul_split_vectors<Split>(task);
  matmul_split_tiles<Split>(task);
}

inline bool takes_split_act(TensorType weight) {
  return weight == TensorType::F16 || weight == TensorType::BF16;
}

inline void matmul_split(const MatmulTask& task) {
  if (task.type == TensorType::F16) return matmul_split_of<SplitF16>(task);
  matmul_split_of<SplitBF16>(task);
}
