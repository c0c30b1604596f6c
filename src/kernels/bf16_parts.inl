// F16 and BF16 weights, and activations, as parts in bfloat16: what products on AMX tiles are made of.
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
