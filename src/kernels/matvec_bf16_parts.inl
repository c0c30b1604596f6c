// Matrix-vector products of weights in bfloat16 parts, in the order of tile instructions (bf16_parts.inl).

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
