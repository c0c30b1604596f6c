// Products of float weights (or weights decoded to floats) with float activations.
//
// The lanes of a vector run along the summed dimension: lane l of an output's one accumulator takes the columns
// l, l + n_lanes, l + 2 n_lanes ... in ascending order, and a fixed tree adds the lanes at the end. Columns are padded
// with zeros to whole vectors. That order is the same for every tile shape, so a tile may take any rows and tokens.

// A row of activations: n_cols floats, zeros up to a multiple of 16.
inline std::int64_t padded_cols(std::int64_t n_cols) {
  return (n_cols + 15) / 16 * 16;
}

inline void pack_act_f32(const float* x, std::int64_t n_cols, float* out) {
  __builtin_memcpy(out, x, static_cast<std::size_t>(n_cols) * sizeof(float));
  for (std::int64_t i = n_cols; i < padded_cols(n_cols); ++i) out[i] = 0;
}

// How weights lie in memory, and what a step along the summed dimension takes of them and of activations.
struct FloatProducts {
  using Word = VecF;
  using Act = float;
  static constexpr std::int64_t step = n_lanes;
  static std::int64_t act_row_elements(std::int64_t n_cols) { return padded_cols(n_cols); }
  static VecF load_act(const float* row, std::int64_t k) { return load(row + k); }
  static VecF add(VecF weight, VecF act, VecF sum) { return madd(weight, act, sum); }
};
struct F32Weights : FloatProducts {
  using Element = float;
  static constexpr bool is_read_in_place = true;  // by many tokens too; else a panel of floats is made
  static VecF full(const float* p) { return load(p); }
  static VecF part(const float* p, std::int64_t n) { return load_part(p, n); }
};
struct F16Weights : FloatProducts {
  using Element = std::uint16_t;
  static constexpr bool is_read_in_place = false;
  static VecF full(const std::uint16_t* p) { return load_f16(p); }
  static VecF part(const std::uint16_t* p, std::int64_t n) { return load_f16_part(p, n); }
};
struct BF16Weights : FloatProducts {
  using Element = std::uint16_t;
  static constexpr bool is_read_in_place = false;
  static VecF full(const std::uint16_t* p) { return load_bf16(p); }
  static VecF part(const std::uint16_t* p, std::int64_t n) { return load_bf16_part(p, n); }
};

template <typename Weights>
const typename Weights::Act* act_row(const MatmulTask& task, std::int64_t token) {
  const std::int64_t row = task.act_rows != nullptr ? task.act_rows[token] : token;
  return reinterpret_cast<const typename Weights::Act*>(task.act) + row * Weights::act_row_elements(task.n_cols);
}

inline float* out_row(const MatmulTask& task, std::int64_t token) {
  const std::int64_t row = task.out_rows != nullptr ? task.out_rows[token] : token;
  return task.out + row * task.out_stride;
}

// Rows of a matrix that a tile takes: first, first + spacing, ...
template <typename Weights>
struct FloatRows {
  const typename Weights::Element* weight;  // of the first one
  std::int64_t stride;                      // elements from one to the next
  std::int64_t first, spacing;              // row numbers
  std::int64_t ahead = 0;                   // elements to fetch ahead in each; 0: none
};

// out[token][row] for n_rows x n_tokens outputs.
template <typename Weights, int n_rows, int n_tokens>
void float_tile(const MatmulTask& task, const FloatRows<Weights>& rows, std::int64_t n_cols, std::int64_t token) {
  const typename Weights::Element* weight = rows.weight;
  const std::int64_t weight_stride = rows.stride;
  constexpr std::int64_t step = Weights::step;
  const typename Weights::Act* act[n_tokens];
  for (int t = 0; t < n_tokens; ++t) act[t] = act_row<Weights>(task, token + t);
  VecF sum[n_tokens][n_rows];
  for (int t = 0; t < n_tokens; ++t) {
    for (int r = 0; r < n_rows; ++r) sum[t][r] = zero();
  }
  std::int64_t k = 0;
  for (; k + step <= n_cols; k += step) {
    if (n_rows > 1 && rows.ahead != 0) {
      for (int r = 0; r < n_rows; ++r) __builtin_prefetch(weight + r * weight_stride + k + rows.ahead, 0, 3);
    }
    typename Weights::Word w[n_rows];
    for (int r = 0; r < n_rows; ++r) w[r] = Weights::full(weight + r * weight_stride + k);
    for (int t = 0; t < n_tokens; ++t) {
      const auto a = Weights::load_act(act[t], k);
      for (int r = 0; r < n_rows; ++r) sum[t][r] = Weights::add(w[r], a, sum[t][r]);
    }
  }
  if (k < n_cols) {
    for (int r = 0; r < n_rows; ++r) {
      const typename Weights::Word w = Weights::part(weight + r * weight_stride + k, n_cols - k);
      for (int t = 0; t < n_tokens; ++t) sum[t][r] = Weights::add(w, Weights::load_act(act[t], k), sum[t][r]);
    }
  }
  for (int t = 0; t < n_tokens; ++t) {
    float* out = out_row(task, token + t) + rows.first;
    for (int r = 0; r < n_rows; ++r) out[r * rows.spacing] = reduce_add(sum[t][r]);
  }
}

// Tile shapes that keep the accumulators in registers (32 of them with AVX-512, 16 below).
constexpr int float_tile_rows = n_lanes == 16 ? 4 : 3;
constexpr int float_tile_tokens = n_lanes == 16 ? 6 : 3;

template <typename Weights, int n_rows>
void float_tile_any_tokens(const MatmulTask& task, const FloatRows<Weights>& rows, std::int64_t n_cols,
                           std::int64_t token, std::int64_t n_tokens) {
  switch (n_tokens) {
    case 1:
      return float_tile<Weights, n_rows, 1>(task, rows, n_cols, token);
    case 2:
      return float_tile<Weights, n_rows, 2>(task, rows, n_cols, token);
    case 3:
      return float_tile<Weights, n_rows, 3>(task, rows, n_cols, token);
    default:
      break;
  }
  if constexpr (float_tile_tokens > 3) {
    switch (n_tokens) {
      case 4:
        return float_tile<Weights, n_rows, 4>(task, rows, n_cols, token);
      case 5:
        return float_tile<Weights, n_rows, 5>(task, rows, n_cols, token);
      default:
        return float_tile<Weights, n_rows, 6>(task, rows, n_cols, token);
    }
  }
}

// All tokens of the task x n_rows rows one after the other.
template <typename Weights>
void float_rows(const MatmulTask& task, const FloatRows<Weights>& rows, std::int64_t n_cols, std::int64_t n_rows) {
  for (std::int64_t token = 0; token < task.n_tokens; token += float_tile_tokens) {
    const std::int64_t rest = task.n_tokens - token;
    const std::int64_t n_tokens = rest < float_tile_tokens ? rest : float_tile_tokens;
    FloatRows<Weights> tile = rows;
    const auto advance = [&](std::int64_t n) {
      tile.weight += n * rows.stride;
      tile.first += n;
    };
    std::int64_t r = 0;
    for (; r + float_tile_rows <= n_rows; r += float_tile_rows, advance(float_tile_rows)) {
      float_tile_any_tokens<Weights, float_tile_rows>(task, tile, n_cols, token, n_tokens);
    }
    for (; r < n_rows; ++r, advance(1)) float_tile_any_tokens<Weights, 1>(task, tile, n_cols, token, n_tokens);
  }
}

// Few tokens: the products wait for memory. The rows of a tile are far apart and each walks a run of rows that lie one
// after the other, so that memory is read in a few long streams.
template <typename Weights>
void float_streams(const MatmulTask& task, const typename Weights::Element* weight) {
  constexpr std::int64_t ahead = 1024 / static_cast<std::int64_t>(sizeof(typename Weights::Element));
  const std::int64_t n_cols = task.n_cols;
  const std::int64_t run = (task.row_end - task.row_begin) / float_tile_rows;
  for (std::int64_t i = 0; i < run; ++i) {
    const std::int64_t row = task.row_begin + i;
    const FloatRows<Weights> rows{weight + row * n_cols, run * n_cols, row, run, ahead};
    float_tile_any_tokens<Weights, float_tile_rows>(task, rows, n_cols, 0, task.n_tokens);
  }
  const std::int64_t rest = task.row_begin + run * float_tile_rows;
  float_rows<Weights>(task, {weight + rest * n_cols, n_cols, rest, 1}, n_cols, task.row_end - rest);
}

// Rows of a panel of decoded weights: as many as stay in the second-level cache.
inline std::int64_t panel_rows(std::int64_t n_cols) {
  constexpr std::int64_t panel_bytes = 384 * 1024;
  const std::int64_t rows = panel_bytes / (padded_cols(n_cols) * static_cast<std::int64_t>(sizeof(float)) + 1);
  const std::int64_t whole_tiles = rows / 12 * 12;
  return whole_tiles < 12 ? 12 : whole_tiles > 96 ? 96 : whole_tiles;
}

inline std::int64_t panel_bytes(std::int64_t n_cols) {
  return panel_rows(n_cols) * padded_cols(n_cols) * static_cast<std::int64_t>(sizeof(float));
}

template <typename Weights>
void widen_row(const typename Weights::Element* src, std::int64_t n_cols, float* dst) {
  std::int64_t k = 0;
  for (; k + n_lanes <= n_cols; k += n_lanes) store(dst + k, Weights::full(src + k));
  if (k < n_cols) store(dst + k, Weights::part(src + k, n_cols - k));
}

// fill(row, dst) writes one row of weights as floats.
template <typename Fill>
void matmul_through_panel(const MatmulTask& task, Fill fill) {
  float* panel = reinterpret_cast<float*>(task.scratch);
  const std::int64_t stride = padded_cols(task.n_cols);
  const std::int64_t step = panel_rows(task.n_cols);
  for (std::int64_t row = task.row_begin; row < task.row_end; row += step) {
    const std::int64_t rest = task.row_end - row;
    const std::int64_t n_rows = rest < step ? rest : step;
    for (std::int64_t r = 0; r < n_rows; ++r) {
      float* dst = panel + r * stride;
      fill(row + r, dst);
      for (std::int64_t k = task.n_cols; k < stride; ++k) dst[k] = 0;
    }
    float_rows<F32Weights>(task, {panel, stride, row, 1}, stride, n_rows);
  }
}

template <typename Weights>
void matmul_float(const MatmulTask& task) {
  using Element = typename Weights::Element;
  const Element* weight = reinterpret_cast<const Element*>(task.weight);
  if (task.n_tokens <= float_tile_tokens) return float_streams<Weights>(task, weight);
  if constexpr (Weights::is_read_in_place) {
    const std::int64_t step = panel_rows(task.n_cols);
    for (std::int64_t row = task.row_begin; row < task.row_end; row += step) {
      const std::int64_t rest = task.row_end - row;
      float_rows<Weights>(task, {weight + row * task.n_cols, task.n_cols, row, 1}, task.n_cols,
                          rest < step ? rest : step);
    }
  } else {
    matmul_through_panel(
        task, [&](std::int64_t row, float* dst) { widen_row<Weights>(weight + row * task.n_cols, task.n_cols, dst); });
  }
}
