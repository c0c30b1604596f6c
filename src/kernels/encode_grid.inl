// Quantisers of the IQ1, IQ2 and IQ3 types: groups of four or eight values become the nearest point of a grid.
//
// For a trial scale s the best grid point of a group x is the one with the least |g|^2 / 2 - (x / s) . g. All points
// are compared, with the lanes running over them. The scales of blocks are searched in floats first; then d is fixed
// and the whole-number scales next to the best one are compared by their squared error.

template <int n_points, int dim>
struct Grid {
  static_assert((n_points & (n_points - 1)) == 0);
  alignas(64) float value[dim][n_points];
  alignas(64) float half_norm[n_points];
  alignas(64) std::int32_t number[n_points];
  static constexpr int n = n_points;
  static constexpr int n_values = dim;

  // Byte k of a word is entry k of a point.
  template <typename Word>
  explicit Grid(const Word* points) {
    for (int i = 0; i < n_points; ++i) {
      float norm = 0;
      for (int k = 0; k < dim; ++k) {
        const float v = static_cast<float>(static_cast<std::int8_t>(points[i] >> 8 * k & 255u));
        value[k][i] = v;
        norm += v * v;
      }
      half_norm[i] = 0.5f * norm;
      number[i] = i;
    }
  }

  // A point's number takes the place of its score's lowest bits, so that the least score names its point.
  int nearest_point(const float* y) const {
    const VecI score_bits = splat_i32(~(n_points - 1));
    VecF least = splat(3.0e38f);
    for (int i = 0; i < n_points; i += n_lanes) {
      VecF even = load(half_norm + i);
      VecF odd = zero();
      for (int k = 0; k < dim; k += 2) {
        even = nmadd(splat(y[k]), load(value[k] + i), even);
        odd = nmadd(splat(y[k + 1]), load(value[k + 1] + i), odd);
      }
      least = min(least, as_float((as_bits(even + odd) & score_bits) | load_i(number + i)));
    }
    return bits_from_float(-reduce_max(zero() - least)) & (n_points - 1);
  }
};

// Magnitudes of eight values and their signs as bits. With `even`, the number of negative signs must be even: else the
// least magnitude changes its sign.
inline unsigned split_signs(const float* x, bool even, float* magnitude) {
  unsigned signs = 0;
  int least = 0;
  int n_negative = 0;
  for (int i = 0; i < 8; ++i) {
    magnitude[i] = __builtin_fabsf(x[i]);
    if (x[i] < 0) {
      signs |= 1u << i;
      ++n_negative;
    }
    if (magnitude[i] < magnitude[least]) least = i;
  }
  if (even && n_negative % 2 == 1) {
    signs ^= 1u << least;
    magnitude[least] = -magnitude[least];
  }
  return signs;
}

// Sums over a block of grid points: products with the values, squares.
struct GridSums {
  float xg = 0, gg = 0;
  // Of the squared error, what depends on the points and the scale.
  float error(float scale) const { return scale * (scale * gg - 2 * xg); }
};

template <typename Points>
GridSums fit_points(const Points& grid, const float* x, int n, float scale, int* point) {
  constexpr int dim = Points::n_values;
  const float inverse = inverse_or_zero(scale);
  GridSums sums;
  for (int i = 0; i < n; i += dim) {
    float y[dim];
    for (int k = 0; k < dim; ++k) y[k] = x[i + k] * inverse;
    const int p = grid.nearest_point(y);
    point[i / dim] = p;
    for (int k = 0; k < dim; ++k) sums.xg += x[i + k] * grid.value[k][p];
    sums.gg += 2 * grid.half_norm[p];
  }
  return sums;
}

// 256 values in blocks of `block` values with a scale d * (first_scale + l) * unit, l of 0 ... 15.
template <int block, int dim>
struct GridBlocks {
  float d = 0;
  float magnitude[256];
  unsigned signs[32];  // per eight values
  int scale[256 / block] = {};
  int point[256 / dim] = {};

  // top: the greatest entry of the grid; the trial scales put the greatest magnitude between shortest * top and top.
  template <typename Points>
  void fit(const Points& grid, const float* x, bool even_signs, float top, int n_scale_trials, float shortest,
           float first_scale, float unit) {
    constexpr int n_blocks = 256 / block;
    for (int g = 0; g < 32; ++g) signs[g] = split_signs(x + 8 * g, even_signs, magnitude + 8 * g);
    float best[n_blocks] = {};
    float greatest = 0;
    for (int b = 0; b < n_blocks; ++b) {
      const float* a = magnitude + block * b;
      const float far = extremes(a, block).absolute();
      if (far == 0) continue;
      float best_score = 0;
      for (int t = 0; t < n_scale_trials; ++t) {
        const float share = 1.05f - (1.05f - shortest) * static_cast<float>(t) / static_cast<float>(n_scale_trials - 1);
        const GridSums sums = fit_points(grid, a, block, share * far / top, point + block / dim * b);
        if (sums.xg > 0 && sums.xg * sums.xg > best_score * sums.gg) {
          best_score = sums.xg * sums.xg / sums.gg;
          best[b] = sums.xg / sums.gg;
        }
      }
      if (best[b] > greatest) greatest = best[b];
    }
    d = rounded_to_half(greatest / ((first_scale + 15) * unit));
    const float inverse = inverse_or_zero(d * unit);
    for (int b = 0; b < n_blocks; ++b) {
      const int middle = nearest_in(best[b] * inverse - first_scale, 0, 15);
      float least = 0;
      bool none = true;
      for (int l = middle > 0 ? middle - 1 : 0; l <= middle + 1 && l <= 15; ++l) {
        const float s = d * unit * (first_scale + static_cast<float>(l));
        int found[block / dim];
        const float error = fit_points(grid, magnitude + block * b, block, s, found).error(s);
        if (none || error < least) {
          none = false;
          least = error;
          scale[b] = l;
          for (int i = 0; i < block / dim; ++i) point[block / dim * b + i] = found[i];
        }
      }
    }
  }
};

inline void put_u16(u8* p, unsigned value) {
  p[0] = static_cast<u8>(value & 255u);
  p[1] = static_cast<u8>(value >> 8 & 255u);
}
inline void put_u32(u8* p, std::uint32_t value) {
  put_u16(p, value & 0xffffu);
  put_u16(p + 2, value >> 16);
}
inline void or_byte(u8& byte, unsigned bits) {
  byte = static_cast<u8>(byte | bits);
}

// Four sets of seven signs and a scale.
inline std::uint32_t signs_and_scale(const unsigned* signs, int scale) {
  std::uint32_t word = static_cast<std::uint32_t>(scale) << 28;
  for (int g = 0; g < 4; ++g) word |= (signs[g] & 127u) << 7 * g;
  return word;
}

template <typename Points>
void encode_iq2_xxs(const Points& grid, const float* x, u8* b) {
  GridBlocks<32, 8> s;
  s.fit(grid, x, true, 43, 16, 0.4f, 0.5f, 0.25f);
  put_half(b, s.d);
  for (int k = 0; k < 8; ++k) {
    for (int g = 0; g < 4; ++g) b[2 + 8 * k + g] = static_cast<u8>(s.point[4 * k + g]);
    put_u32(b + 6 + 8 * k, signs_and_scale(s.signs + 4 * k, s.scale[k]));
  }
}

template <typename Points>
void encode_iq2_xs(const Points& grid, const float* x, u8* b) {
  GridBlocks<16, 8> s;
  s.fit(grid, x, true, 43, 14, 0.4f, 0.5f, 0.25f);
  put_half(b, s.d);
  for (int g = 0; g < 32; ++g) {
    put_u16(b + 2 + 2 * g, static_cast<unsigned>(s.point[g]) | (s.signs[g] & 127u) << 9);
  }
  for (int k = 0; k < 8; ++k) b[66 + k] = static_cast<u8>(s.scale[2 * k] | s.scale[2 * k + 1] << 4);
}

template <typename Points>
void encode_iq2_s(const Points& grid, const float* x, u8* b) {
  GridBlocks<16, 8> s;
  s.fit(grid, x, false, 43, 7, 0.45f, 0.5f, 0.25f);
  put_half(b, s.d);
  for (int i = 66; i < 74; ++i) b[i] = 0;
  for (int g = 0; g < 32; ++g) {
    b[2 + g] = static_cast<u8>(s.point[g] & 255);
    b[34 + g] = static_cast<u8>(s.signs[g]);
    or_byte(b[66 + g / 4], static_cast<unsigned>(s.point[g] >> 8) << 2 * (g % 4));
  }
  for (int k = 0; k < 8; ++k) b[74 + k] = static_cast<u8>(s.scale[2 * k] | s.scale[2 * k + 1] << 4);
}

template <typename Points>
void encode_iq3_xxs(const Points& grid, const float* x, u8* b) {
  GridBlocks<32, 4> s;
  s.fit(grid, x, true, 62, 16, 0.6f, 0.5f, 0.5f);
  put_half(b, s.d);
  for (int g = 0; g < 64; ++g) b[2 + g] = static_cast<u8>(s.point[g]);
  for (int k = 0; k < 8; ++k) put_u32(b + 66 + 4 * k, signs_and_scale(s.signs + 4 * k, s.scale[k]));
}

template <typename Points>
void encode_iq3_s(const Points& grid, const float* x, u8* b) {
  GridBlocks<32, 4> s;
  s.fit(grid, x, false, 15, 10, 0.65f, 0.5f, 2);
  put_half(b, s.d);
  for (int i = 66; i < 74; ++i) b[i] = 0;
  for (int g = 0; g < 64; ++g) {
    b[2 + g] = static_cast<u8>(s.point[g] & 255);
    or_byte(b[66 + g / 8], static_cast<unsigned>(s.point[g] >> 8) << g % 8);
  }
  for (int g = 0; g < 32; ++g) b[74 + g] = static_cast<u8>(s.signs[g]);
  for (int k = 0; k < 4; ++k) b[106 + k] = static_cast<u8>(s.scale[2 * k] | s.scale[2 * k + 1] << 4);
}

// --- IQ1: x = scale * (g + shift), g of -1, 0, 1, shift of +-1/8 ---

constexpr float iq1_shift = 0.125f;

// Trial scales from the greatest magnitude downwards.
inline void iq1_trials(float far, float* inverse) {
  for (int t = 0; t < n_trials; ++t) inverse[t] = (0.8f + 0.16f * static_cast<float>(t)) / far;
}

// Squared errors of n values with every trial scale, their codes not bound to the grid.
inline void iq1_errors(const float* x, int n, const float* inverse, float shift, float* error) {
  for (int part = 0; part < n_trials; part += n_lanes) {
    const VecF inv = load(inverse + part);
    const VecF scale = splat(1) / inv;
    VecF sum = zero();
    for (int i = 0; i < n; ++i) {
      const VecF q = min(max(round_nearest(nmadd(splat(-x[i]), inv, splat(-shift))), splat(-1)), splat(1));
      const VecF rest = nmadd(q + splat(shift), scale, splat(x[i]));
      sum = madd(rest, rest, sum);
    }
    store(error + part, sum);
  }
}

// Grid points of n values; adds to the sums of products with x and of squares of g + shift.
template <typename Points>
GridSums fit_iq1_points(const Points& grid, const float* x, int n, float scale, float shift, int* point) {
  const float inverse = inverse_or_zero(scale);
  GridSums sums;
  for (int i = 0; i < n; i += 8) {
    float y[8];
    for (int k = 0; k < 8; ++k) y[k] = x[i + k] * inverse - shift;
    const int p = grid.nearest_point(y);
    point[i / 8] = p;
    for (int k = 0; k < 8; ++k) {
      const float g = grid.value[k][p] + shift;
      sums.xg += x[i + k] * g;
      sums.gg += g * g;
    }
  }
  return sums;
}

template <typename Points>
void encode_iq1_s(const Points& grid, const float* x, u8* b) {
  float shift[8];
  float scale[8] = {};
  float greatest = 0;
  int point[32];
  for (int k = 0; k < 8; ++k) {
    const float* part = x + 32 * k;
    const float far = extremes(part, 32).absolute();
    shift[k] = iq1_shift;
    if (far == 0) continue;
    float inverse[n_trials];
    iq1_trials(far, inverse);
    float error[2][n_trials];
    iq1_errors(part, 32, inverse, iq1_shift, error[0]);
    iq1_errors(part, 32, inverse, -iq1_shift, error[1]);
    int best = 0;
    for (int t = 1; t < 2 * n_trials; ++t) {
      if (error[t / n_trials][t % n_trials] < error[best / n_trials][best % n_trials]) best = t;
    }
    shift[k] = best < n_trials ? iq1_shift : -iq1_shift;
    const GridSums sums = fit_iq1_points(grid, part, 32, 1 / inverse[best % n_trials], shift[k], point + 4 * k);
    scale[k] = sums.gg > 0 && sums.xg > 0 ? sums.xg / sums.gg : 0;
    if (scale[k] > greatest) greatest = scale[k];
  }
  const float d = rounded_to_half(greatest / 15);
  put_half(b, d);
  for (int k = 0; k < 8; ++k) {
    const int l = nearest_in((scale[k] * inverse_or_zero(d) - 1) * 0.5f, 0, 7);
    fit_iq1_points(grid, x + 32 * k, 32, d * static_cast<float>(2 * l + 1), shift[k], point + 4 * k);
    unsigned word = static_cast<unsigned>(l) << 12 | (shift[k] < 0 ? 0x8000u : 0u);
    for (int g = 0; g < 4; ++g) {
      b[2 + 4 * k + g] = static_cast<u8>(point[4 * k + g] & 255);
      word |= static_cast<unsigned>(point[4 * k + g] >> 8) << 3 * g;
    }
    put_u16(b + 34 + 2 * k, word);
  }
}

template <typename Points>
void encode_iq1_m(const Points& grid, const float* x, u8* b) {
  float scale[16] = {};
  float greatest = 0;
  for (int k = 0; k < 16; ++k) {
    const float* part = x + 16 * k;
    const float far = extremes(part, 16).absolute();
    if (far == 0) continue;
    float inverse[n_trials];
    iq1_trials(far, inverse);
    float total[n_trials] = {};
    for (int group = 0; group < 2; ++group) {
      float error[2][n_trials];
      iq1_errors(part + 8 * group, 8, inverse, iq1_shift, error[0]);
      iq1_errors(part + 8 * group, 8, inverse, -iq1_shift, error[1]);
      for (int t = 0; t < n_trials; ++t) total[t] += error[0][t] < error[1][t] ? error[0][t] : error[1][t];
    }
    int best = 0;
    for (int t = 1; t < n_trials; ++t) {
      if (total[t] < total[best]) best = t;
    }
    scale[k] = 1 / inverse[best];
    if (scale[k] > greatest) greatest = scale[k];
  }
  const std::uint16_t d_bits = half_from_float(greatest / 15);
  const float d = float_from_half(d_bits);
  for (int i = 32; i < 56; ++i) b[i] = 0;
  for (int k = 0; k < 16; ++k) {
    const int l = nearest_in((scale[k] * inverse_or_zero(d) - 1) * 0.5f, 0, 7);
    const float s = d * static_cast<float>(2 * l + 1);
    const unsigned at = static_cast<unsigned>(l) << 3 * (k % 4);
    or_byte(b[48 + 2 * (k / 4)], at & 255u);
    or_byte(b[49 + 2 * (k / 4)], at >> 8);
    for (int g = 2 * k; g < 2 * k + 2; ++g) {
      int point[2];
      const float above = fit_iq1_points(grid, x + 8 * g, 8, s, iq1_shift, point).error(s);
      const float below = fit_iq1_points(grid, x + 8 * g, 8, s, -iq1_shift, point + 1).error(s);
      const int p = point[above <= below ? 0 : 1];
      b[g] = static_cast<u8>(p & 255);
      or_byte(b[32 + g / 2], (static_cast<unsigned>(p) >> 8 | (above <= below ? 0u : 8u)) << 4 * (g % 2));
    }
  }
  for (int w = 0; w < 4; ++w) or_byte(b[49 + 2 * w], (static_cast<unsigned>(d_bits) >> 4 * w & 15u) << 4);
}

// Rows of a grid type; false for other types.
inline bool encode_grid_row(TensorType type, const float* src, u8* dst, std::int64_t n) {
  const auto blocks = [&](int n_bytes, const auto& grid, auto encode) {
    for (std::int64_t i = 0; i < n / 256; ++i) encode(grid, src + 256 * i, dst + n_bytes * i);
    return true;
  };
  switch (type) {
    case TensorType::IQ1_S: {
      using Points = Grid<2048, 8>;
      return n == 0 || blocks(50, Points(iq1_grid), encode_iq1_s<Points>);
    }
    case TensorType::IQ1_M: {
      using Points = Grid<2048, 8>;
      return n == 0 || blocks(56, Points(iq1_grid), encode_iq1_m<Points>);
    }
    case TensorType::IQ2_XXS: {
      using Points = Grid<256, 8>;
      return n == 0 || blocks(66, Points(iq2_xxs_grid), encode_iq2_xxs<Points>);
    }
    case TensorType::IQ2_XS: {
      using Points = Grid<512, 8>;
      return n == 0 || blocks(74, Points(iq2_xs_grid), encode_iq2_xs<Points>);
    }
    case TensorType::IQ2_S: {
      using Points = Grid<1024, 8>;
      return n == 0 || blocks(82, Points(iq2_s_grid), encode_iq2_s<Points>);
    }
    case TensorType::IQ3_XXS: {
      using Points = Grid<256, 4>;
      return n == 0 || blocks(98, Points(iq3_xxs_grid), encode_iq3_xxs<Points>);
    }
    case TensorType::IQ3_S: {
      using Points = Grid<512, 4>;
      return n == 0 || blocks(110, Points(iq3_s_grid), encode_iq3_s<Points>);
    }
    default:
      return false;
  }
}
