// Quantisers: float rows -> blocks of a weight type.
//
// Where a scale is searched, sixteen trial scales run side by side in the lanes: the codes that each gives are summed
// up vertically, and the best trial is the one whose least-squares scale leaves the smallest squared error.

constexpr int n_trials = 16;

using u8 = std::uint8_t;

inline void put_half(u8* p, float value) {
  const std::uint16_t h = half_from_float(value);
  p[0] = static_cast<u8>(h & 255);
  p[1] = static_cast<u8>(h >> 8);
}
inline float rounded_to_half(float value) {
  return float_from_half(half_from_float(value));
}

inline int clamp_int(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}
inline int nearest(float value) {
  return static_cast<int>(__builtin_rintf(value));
}
// Round, then clamp; for values that may be far outside.
inline int nearest_in(float value, int low, int high) {
  const float lowest = static_cast<float>(low);
  const float highest = static_cast<float>(high);
  return nearest(value < lowest ? lowest : value > highest ? highest : value);
}
inline float inverse_or_zero(float value) {
  return value != 0 ? 1.0f / value : 0.0f;
}

struct Extremes {
  float low, high;
  float absolute() const { return high > -low ? high : -low; }
  float signed_absolute() const { return high > -low ? high : low; }  // the value farthest from zero
};

// Least and greatest value, zero counted in.
inline Extremes extremes(const float* x, int n) {
  VecF low = zero();
  VecF high = zero();
  for (int i = 0; i < n; i += n_lanes) {
    const VecF v = load(x + i);
    low = min(low, v);
    high = max(high, v);
  }
  return {-reduce_max(zero() - low), reduce_max(high)};
}

// --- blocks with one scale, no search ---

// codes[i] = round(x[i] * inverse + shift) clamped, as bytes
template <int n>
void round_codes(const float* x, float inverse, float shift, float low, float high, std::int8_t* codes) {
  for (int i = 0; i < n; i += n_lanes) {
    const VecF code = round_nearest(madd(load(x + i), splat(inverse), splat(shift)));
    store_i8(codes + i, min(max(code, splat(low)), splat(high)));
  }
}

// Eight codes as one word.
inline std::uint64_t eight_codes(const std::int8_t* codes) {
  std::uint64_t word;
  __builtin_memcpy(&word, codes, sizeof word);
  return word;
}

inline void pack_nibbles(const std::int8_t* codes, u8* out) {
  constexpr std::uint64_t nibbles = 0x0f0f0f0f0f0f0f0fu;
  for (int i = 0; i < 16; i += 8) {
    const std::uint64_t word = (eight_codes(codes + i) & nibbles) | (eight_codes(codes + i + 16) & nibbles) << 4;
    __builtin_memcpy(out + i, &word, sizeof word);
  }
}

inline void pack_fifth_bits(const std::int8_t* codes, u8* out) {
  for (int byte = 0; byte < 4; ++byte) {
    const std::uint64_t bits = eight_codes(codes + 8 * byte) >> 4 & 0x0101010101010101u;
    out[byte] = static_cast<u8>(bits * 0x0102040810204080u >> 56);  // the bit of byte i becomes bit i
  }
}

// Q4_0, Q5_0: the value farthest from zero gets the lowest code.
template <int n_codes>
void encode_symmetric(const float* x, u8* b) {
  constexpr int middle = n_codes / 2;
  constexpr float half = middle;
  const float d = extremes(x, 32).signed_absolute() / -half;
  put_half(b, d);
  std::int8_t codes[32];
  round_codes<32>(x, inverse_or_zero(d), half, 0, n_codes - 1, codes);
  if (n_codes == 32) pack_fifth_bits(codes, b + 2);
  pack_nibbles(codes, b + (n_codes == 32 ? 6 : 2));
}

// Q4_1, Q5_1: from the least to the greatest value.
template <int n_codes>
void encode_with_min(const float* x, u8* b) {
  VecF low = load(x);
  VecF high = low;
  for (int i = n_lanes; i < 32; i += n_lanes) {
    low = min(low, load(x + i));
    high = max(high, load(x + i));
  }
  const float least = -reduce_max(zero() - low);
  const float d = (reduce_max(high) - least) / (n_codes - 1);
  const float inverse = inverse_or_zero(d);
  put_half(b, d);
  put_half(b + 2, least);
  std::int8_t codes[32];
  round_codes<32>(x, inverse, -least * inverse, 0, n_codes - 1, codes);
  if (n_codes == 32) pack_fifth_bits(codes, b + 4);
  pack_nibbles(codes, b + (n_codes == 32 ? 8 : 4));
}

inline void encode_q8_0(const float* x, u8* b) {
  const float d = extremes(x, 32).absolute() / 127;
  put_half(b, d);
  round_codes<32>(x, inverse_or_zero(d), 0, -127, 127, reinterpret_cast<std::int8_t*>(b + 2));
}

// d times a sign: the mean magnitude is the least-squares scale.
inline void encode_q1_0(const float* x, u8* b) {
  VecF sum = zero();
  for (int i = 0; i < 128; i += n_lanes) sum = sum + abs(load(x + i));
  put_half(b, reduce_add(sum) / 128);
  for (int byte = 0; byte < 16; ++byte) {
    unsigned bits = 0;
    for (int i = 0; i < 8; ++i) bits |= (x[8 * byte + i] >= 0 ? 1u : 0u) << i;
    b[2 + byte] = static_cast<u8>(bits);
  }
}

// --- searched scales ---

struct TrialSums {
  float q[n_trials], qq[n_trials], xq[n_trials];  // sums of codes, of their squares, of their products with x
};

// Codes clamp(round((x - base) * inverse[trial])) of n values.
inline TrialSums try_scales(const float* x, int n, float base, const float* inverse, float low, float high) {
  TrialSums sums;
  for (int part = 0; part < n_trials; part += n_lanes) {
    const VecF inv = load(inverse + part);
    VecF q_sum = zero();
    VecF qq_sum = zero();
    VecF xq_sum = zero();
    for (int i = 0; i < n; ++i) {
      const VecF q = min(max(round_nearest(splat(x[i] - base) * inv), splat(low)), splat(high));
      q_sum = q_sum + q;
      qq_sum = madd(q, q, qq_sum);
      xq_sum = madd(q, splat(x[i]), xq_sum);
    }
    store(sums.q + part, q_sum);
    store(sums.qq + part, qq_sum);
    store(sums.xq + part, xq_sum);
  }
  return sums;
}

// Best scale for x = scale * code, codes in [low, high].
inline float fit_scale(const float* x, int n, float low, float high, float spread) {
  const float far = extremes(x, n).signed_absolute();
  if (far == 0) return 0;
  float inverse[n_trials];
  for (int t = 0; t < n_trials; ++t) {
    const int pair = t / 2;
    const float delta = spread * (static_cast<float>(pair) - 2.5f) / 8;
    inverse[t] = (t % 2 == 0 ? low - delta : high + delta) / far;
  }
  const TrialSums sums = try_scales(x, n, 0, inverse, low, high);
  float best_score = 0;
  float scale = 0;
  for (int t = 0; t < n_trials; ++t) {
    if (sums.qq[t] > 0 && sums.xq[t] * sums.xq[t] > best_score * sums.qq[t]) {
      best_score = sums.xq[t] * sums.xq[t] / sums.qq[t];
      scale = sums.xq[t] / sums.qq[t];
    }
  }
  return scale;
}

struct ScaleMin {
  float scale, min;  // x = scale * code - min; both >= 0
};

// Best trial of codes [0, high] around `base`.
inline ScaleMin best_scale_min(const float* x, int n, float base, const float* inverse, float high, ScaleMin fallback) {
  const TrialSums sums = try_scales(x, n, base, inverse, 0, high);
  float x_sum = 0;
  for (int i = 0; i < n; ++i) x_sum += x[i];
  const float count = static_cast<float>(n);
  float best_score = 0;
  ScaleMin best = fallback;
  for (int t = 0; t < n_trials; ++t) {
    const float determinant = count * sums.qq[t] - sums.q[t] * sums.q[t];
    if (!(determinant > 0)) continue;
    float scale = (count * sums.xq[t] - x_sum * sums.q[t]) / determinant;
    float offset = (x_sum - scale * sums.q[t]) / count;
    if (offset > 0) {
      offset = 0;
      scale = sums.xq[t] / sums.qq[t];
    }
    // The squared error is that of all codes zero, less this.
    const float score = scale * sums.xq[t] + offset * x_sum;
    if (scale > 0 && score > best_score) {
      best_score = score;
      best = {scale, -offset};
    }
  }
  return best;
}

inline ScaleMin fit_scale_min(const float* x, int n, float high) {
  const Extremes range = extremes(x, n);
  if (range.high == range.low) return {0, 0};
  float inverse[n_trials];
  for (int t = 0; t < n_trials; ++t) {
    inverse[t] = (high * 0.94f + (static_cast<float>(t) - 4) * 0.13f) / (range.high - range.low);
  }
  const ScaleMin plain{(range.high - range.low) / high, -range.low};
  const ScaleMin first = best_scale_min(x, n, range.low, inverse, high, plain);
  for (int t = 0; t < n_trials; ++t) inverse[t] = (0.86f + 0.02f * static_cast<float>(t)) / first.scale;
  return best_scale_min(x, n, -first.min, inverse, high, first);
}

// The trial with the smallest squared error of scale * clamp(round((x + min) / scale)) - min.
inline int best_pair(const float* x, int n, const float* scale, const float* min_value, float low, float high) {
  float error[n_trials];
  for (int part = 0; part < n_trials; part += n_lanes) {
    float inverse[n_lanes];
    for (int l = 0; l < n_lanes; ++l) inverse[l] = inverse_or_zero(scale[part + l]);
    const VecF inv = load(inverse);
    const VecF s = load(scale + part);
    const VecF m = load(min_value + part);
    VecF sum = zero();
    for (int i = 0; i < n; ++i) {
      const VecF moved = splat(x[i]) + m;
      const VecF q = min(max(round_nearest(moved * inv), splat(low)), splat(high));
      const VecF rest = nmadd(q, s, moved);
      sum = madd(rest, rest, sum);
    }
    store(error + part, sum);
  }
  int best = 0;
  for (int t = 1; t < n_trials; ++t) {
    if (error[t] < error[best]) best = t;
  }
  return best;
}

// Scales of the sub-blocks of a super-block as whole numbers times d (and dmin).
template <int n_sub>
struct SuperBlock {
  float d = 0, dmin = 0;  // half-precision numbers
  int scale[n_sub] = {}, min[n_sub] = {};
};

template <int n_sub>
SuperBlock<n_sub> fit_super_block_with_min(const float* x, float code_high, int scale_high) {
  constexpr int n = 256 / n_sub;
  ScaleMin fit[n_sub];
  float top_scale = 0;
  float top_min = 0;
  for (int k = 0; k < n_sub; ++k) {
    fit[k] = fit_scale_min(x + n * k, n, code_high);
    if (fit[k].scale > top_scale) top_scale = fit[k].scale;
    if (fit[k].min > top_min) top_min = fit[k].min;
  }
  SuperBlock<n_sub> s;
  s.d = rounded_to_half(top_scale / static_cast<float>(scale_high));
  s.dmin = rounded_to_half(top_min / static_cast<float>(scale_high));
  const float inverse_d = inverse_or_zero(s.d);
  const float inverse_dmin = inverse_or_zero(s.dmin);
  for (int k = 0; k < n_sub; ++k) {
    const int scale0 = clamp_int(nearest_in(fit[k].scale * inverse_d, 0, scale_high) - 1, 0, scale_high - 3);
    const int min0 = clamp_int(nearest_in(fit[k].min * inverse_dmin, 0, scale_high) - 1, 0, scale_high - 3);
    float scale[n_trials];
    float min_value[n_trials];
    for (int t = 0; t < n_trials; ++t) {
      const int step = t / 4;
      scale[t] = s.d * static_cast<float>(scale0 + t % 4);
      min_value[t] = s.dmin * static_cast<float>(min0 + step);
    }
    const int best = best_pair(x + n * k, n, scale, min_value, 0, code_high);
    s.scale[k] = scale0 + best % 4;
    s.min[k] = min0 + best / 4;
  }
  return s;
}

// Scales in [-scale_limit, scale_limit - 1].
template <int n_sub>
SuperBlock<n_sub> fit_super_block(const float* x, float code_low, float code_high, int scale_limit, float spread) {
  constexpr int n = 256 / n_sub;
  float fit[n_sub];
  float top = 0;
  for (int k = 0; k < n_sub; ++k) {
    fit[k] = fit_scale(x + n * k, n, code_low, code_high, spread);
    if (__builtin_fabsf(fit[k]) > __builtin_fabsf(top)) top = fit[k];
  }
  SuperBlock<n_sub> s;
  s.d = rounded_to_half(-top / static_cast<float>(scale_limit));
  const float inverse_d = inverse_or_zero(s.d);
  for (int k = 0; k < n_sub; ++k) {
    const int middle = nearest_in(fit[k] * inverse_d, -scale_limit, scale_limit - 1);
    const int first = clamp_int(middle - n_trials / 2, -scale_limit, scale_limit - n_trials);
    float scale[n_trials];
    const float min_value[n_trials] = {};
    for (int t = 0; t < n_trials; ++t) scale[t] = s.d * static_cast<float>(first + t);
    s.scale[k] = first + best_pair(x + n * k, n, scale, min_value, code_low, code_high);
  }
  return s;
}

// Final codes of n values.
inline void quantise(const float* x, int n, float scale, float min_value, int low, int high, std::int8_t* codes) {
  const float inverse = inverse_or_zero(scale);
  for (int i = 0; i < n; ++i) codes[i] = static_cast<std::int8_t>(nearest_in((x[i] + min_value) * inverse, low, high));
}

inline void encode_q2_k(const float* x, u8* b) {
  const SuperBlock<16> s = fit_super_block_with_min<16>(x, 3, 15);
  std::int8_t codes[256];
  for (int k = 0; k < 16; ++k) {
    quantise(x + 16 * k, 16, s.d * static_cast<float>(s.scale[k]), s.dmin * static_cast<float>(s.min[k]), 0, 3,
             codes + 16 * k);
    b[k] = static_cast<u8>(s.scale[k] | s.min[k] << 4);
  }
  for (int i = 0; i < 64; ++i) {
    const std::int8_t* q = codes + 128 * (i / 32) + i % 32;
    b[16 + i] = static_cast<u8>(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
  }
  put_half(b + 80, s.d);
  put_half(b + 82, s.dmin);
}

inline void encode_q3_k(const float* x, u8* b) {
  const SuperBlock<16> s = fit_super_block<16>(x, -4, 3, 32, 1.5f);
  std::int8_t codes[256];
  for (int i = 96; i < 108; ++i) b[i] = 0;
  for (int k = 0; k < 16; ++k) {
    quantise(x + 16 * k, 16, s.d * static_cast<float>(s.scale[k]), 0, -4, 3, codes + 16 * k);
    const unsigned scale = static_cast<unsigned>(s.scale[k] + 32);
    b[96 + k % 8] = static_cast<u8>(b[96 + k % 8] | (scale & 15u) << 4 * (k / 8));
    b[104 + k % 4] = static_cast<u8>(b[104 + k % 4] | (scale >> 4) << 2 * (k / 4));
  }
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<std::int8_t>(codes[i] + 4);
  for (int i = 0; i < 64; ++i) {
    const std::int8_t* q = codes + 128 * (i / 32) + i % 32;
    b[32 + i] = static_cast<u8>((q[0] & 3) | (q[32] & 3) << 2 | (q[64] & 3) << 4 | (q[96] & 3) << 6);
  }
  for (int i = 0; i < 32; ++i) {
    int bits = 0;
    for (int k = 0; k < 8; ++k) bits |= (codes[32 * k + i] >> 2) << k;
    b[i] = static_cast<u8>(bits);
  }
  put_half(b + 108, s.d);
}

// Q4_K and Q5_K
template <int n_codes>
void encode_k_with_min(const float* x, u8* b) {
  const SuperBlock<8> s = fit_super_block_with_min<8>(x, n_codes - 1, 63);
  put_half(b, s.d);
  put_half(b + 2, s.dmin);
  u8* scales = b + 4;
  for (int k = 0; k < 4; ++k) {
    scales[k] = static_cast<u8>(s.scale[k] | (s.scale[k + 4] >> 4) << 6);
    scales[k + 4] = static_cast<u8>(s.min[k] | (s.min[k + 4] >> 4) << 6);
    scales[k + 8] = static_cast<u8>((s.scale[k + 4] & 15) | (s.min[k + 4] & 15) << 4);
  }
  std::int8_t codes[256];
  for (int k = 0; k < 8; ++k) {
    quantise(x + 32 * k, 32, s.d * static_cast<float>(s.scale[k]), s.dmin * static_cast<float>(s.min[k]), 0,
             n_codes - 1, codes + 32 * k);
  }
  u8* low = b + 16;
  if (n_codes == 32) {
    for (int i = 0; i < 32; ++i) {
      int bits = 0;
      for (int k = 0; k < 8; ++k) bits |= (codes[32 * k + i] >> 4) << k;
      b[16 + i] = static_cast<u8>(bits);
    }
    low = b + 48;
  }
  for (int i = 0; i < 128; ++i) {
    const std::int8_t* q = codes + 64 * (i / 32) + i % 32;
    low[i] = static_cast<u8>((q[0] & 15) | (q[32] & 15) << 4);
  }
}

inline void encode_q6_k(const float* x, u8* b) {
  const SuperBlock<16> s = fit_super_block<16>(x, -32, 31, 128, 2.0f);
  std::int8_t codes[256];
  for (int k = 0; k < 16; ++k) {
    quantise(x + 16 * k, 16, s.d * static_cast<float>(s.scale[k]), 0, -32, 31, codes + 16 * k);
    b[192 + k] = static_cast<u8>(s.scale[k]);
  }
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<std::int8_t>(codes[i] + 32);
  for (int n = 0; n < 2; ++n) {
    for (int i = 0; i < 64; ++i) {
      const std::int8_t* q = codes + 128 * n + i;
      b[64 * n + i] = static_cast<u8>((q[0] & 15) | (q[64] & 15) << 4);
    }
    for (int i = 0; i < 32; ++i) {
      const std::int8_t* q = codes + 128 * n + i;
      b[128 + 32 * n + i] = static_cast<u8>(q[0] >> 4 | (q[32] >> 4) << 2 | (q[64] >> 4) << 4 | (q[96] >> 4) << 6);
    }
  }
  put_half(b + 208, s.d);
}

// --- few codes: scales from the greatest magnitude downwards ---

// The greatest magnitude itself is the first trial, so that weights that already have few levels come back unchanged.
inline float fit_few_codes(const float* x, int n, float low, float high) {
  const Extremes range = extremes(x, n);
  if (range.absolute() == 0) return 0;
  float inverse[n_trials];
  for (int t = 0; t < n_trials; ++t) {
    const float sign = high != -low && t % 2 == 1 ? -1.0f : 1.0f;
    inverse[t] = sign * (1 + 0.2f * static_cast<float>(t)) / range.absolute();
  }
  const TrialSums sums = try_scales(x, n, 0, inverse, low, high);
  float best_score = 0;
  float scale = 0;
  for (int t = 0; t < n_trials; ++t) {
    if (sums.qq[t] > 0 && sums.xq[t] * sums.xq[t] > best_score * sums.qq[t]) {
      best_score = sums.xq[t] * sums.xq[t] / sums.qq[t];
      scale = sums.xq[t] / sums.qq[t];
    }
  }
  return rounded_to_half(scale);
}

inline void encode_q2_0(const float* x, u8* b) {
  const float d = fit_few_codes(x, 64, -1, 2);
  put_half(b, d);
  std::int8_t codes[64];
  round_codes<64>(x, inverse_or_zero(d), 1, 0, 3, codes);
  for (int i = 0; i < 16; ++i) {
    const std::int8_t* q = codes + 4 * i;
    b[2 + i] = static_cast<u8>(q[0] | q[1] << 2 | q[2] << 4 | q[3] << 6);
  }
}

// Ternary codes 0, 1, 2 of 256 values; returns d.
inline float ternary_codes(const float* x, std::int8_t* codes) {
  const float d = fit_few_codes(x, 256, -1, 1);
  round_codes<256>(x, inverse_or_zero(d), 1, 0, 2, codes);
  return d;
}

inline void encode_tq1_0(const float* x, u8* b) {
  std::int8_t codes[256];
  put_half(b + 52, ternary_codes(x, codes));
  const auto digits = [](const std::int8_t* q, int n_bytes, int n_digits, u8* out) {
    for (int i = 0; i < n_bytes; ++i) {
      int value = 0;
      for (int n = 0; n < 5; ++n) value = 3 * value + (n < n_digits ? q[n * n_bytes + i] : 0);
      out[i] = static_cast<u8>((value * 256 + 242) / 243);  // value / 243 as a fraction of 256, rounded up
    }
  };
  digits(codes, 32, 5, b);
  digits(codes + 160, 16, 5, b + 32);
  digits(codes + 240, 4, 4, b + 48);
}

inline void encode_tq2_0(const float* x, u8* b) {
  std::int8_t codes[256];
  put_half(b + 64, ternary_codes(x, codes));
  for (int i = 0; i < 64; ++i) {
    const std::int8_t* q = codes + 128 * (i / 32) + i % 32;
    b[i] = static_cast<u8>(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
  }
}

// --- four-bit floats ---

// Twice the E2M1 number nearest to x: 0, 1, 2, 3, 4, 6, 8 or 12 with the sign of x.
inline VecF nearest_e2m1(VecF x) {
  const VecF a = abs(x);
  const VecF by2 = round_nearest(a * splat(0.5f)) * splat(2.0f);
  const VecF by4 = min(round_nearest(a * splat(0.25f)) * splat(4.0f), splat(12.0f));
  const VecF fine = select_less(a, splat(4.0f), round_nearest(a), by2);
  const VecF code = select_less(a, splat(8.0f), fine, by4);
  return select_less(x, zero(), zero() - code, code);
}

// Squared error of n values in units of `scale`.
inline float e2m1_error(const float* x, int n, float scale) {
  const VecF inverse = splat(inverse_or_zero(scale));
  VecF sum = zero();
  for (int i = 0; i < n; i += n_lanes) {
    const VecF v = load(x + i);
    const VecF rest = nmadd(nearest_e2m1(v * inverse), splat(scale), v);
    sum = madd(rest, rest, sum);
  }
  return reduce_add(sum);
}

inline void e2m1_codes(const float* x, int n, float scale, std::int8_t* codes) {
  const VecF inverse = splat(inverse_or_zero(scale));
  for (int i = 0; i < n; i += n_lanes) {
    const VecF number = nearest_e2m1(load(x + i) * inverse);
    const VecF a = abs(number);
    const VecF upper = min(madd(a, splat(0.5f), splat(2.0f)), splat(7.0f));  // 4, 6, 8, 12 -> 4, 5, 6, 7
    const VecF code = select_less(a, splat(4.0f), a, upper);
    store_i8(codes + i, select_less(number, zero(), code + splat(8.0f), code));
  }
}

// 2^(e - 128)
inline float mx_scale(int e) {
  return float_from_bits(e >= 2 ? static_cast<std::uint32_t>(e - 1) << 23 : 0x200000u << e);
}

inline void encode_mxfp4(const float* x, u8* b) {
  const float top = extremes(x, 32).absolute();
  if (top == 0) {
    __builtin_memset(b, 0, 17);
    return;
  }
  // 12 * 2^(e - 128) is the first to reach the top, or half of it where clipping costs less than coarse steps.
  const int exponent = static_cast<int>(bits_from_float(top) >> 23 & 255u);
  int e = clamp_int(exponent - 2, 2, 253);
  if (top > 12 * mx_scale(e)) ++e;
  if (e2m1_error(x, 32, mx_scale(e - 1)) < e2m1_error(x, 32, mx_scale(e))) --e;
  b[0] = static_cast<u8>(e);
  std::int8_t codes[32];
  e2m1_codes(x, 32, mx_scale(e), codes);
  pack_nibbles(codes, b + 1);
}

// Half an unsigned E4M3 number.
inline float nv_scale(int byte) {
  const int exponent = byte >> 3;
  const float mantissa = static_cast<float>(byte & 7);
  if (exponent == 0) return mantissa * 0x1p-10f;
  return (8 + mantissa) * float_from_bits(static_cast<std::uint32_t>(116 + exponent) << 23);
}

inline void encode_nvfp4(const float* x, u8* b) {
  for (int s = 0; s < 4; ++s) {
    const float* part = x + 16 * s;
    const float top = extremes(part, 16).absolute();
    int first = 0;  // the least scale that reaches the top, found by bisection; 126 is the greatest
    for (int step = 64; step > 0; step /= 2) {
      if (first + step <= 126 && 12 * nv_scale(first + step - 1) < top) first += step;
    }
    int best = first;
    float best_error = e2m1_error(part, 16, nv_scale(first));
    for (int byte = first > 6 ? first - 5 : 1; byte <= 126 && byte <= first + 5; ++byte) {
      const float error = e2m1_error(part, 16, nv_scale(byte));
      if (error < best_error) {
        best_error = error;
        best = byte;
      }
    }
    b[s] = static_cast<u8>(best);
    std::int8_t codes[16];
    e2m1_codes(part, 16, nv_scale(best), codes);
    for (int i = 0; i < 8; ++i) b[4 + 8 * s + i] = static_cast<u8>(codes[i] | codes[i + 8] << 4);
  }
}

// --- non-linear four-bit codes ---

constexpr std::int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// The code whose value is nearest to x.
inline int nearest_iq4(float x) {
  int code = 0;
  for (int i = 0; i < 15; ++i) code += x > 0.5f * static_cast<float>(iq4_values[i] + iq4_values[i + 1]) ? 1 : 0;
  return code;
}

// Values nearest to x in all lanes.
inline VecF nearest_iq4_values(VecF x) {
  VecF value = splat(static_cast<float>(iq4_values[0]));
  for (int i = 0; i < 15; ++i) {
    const float middle = 0.5f * static_cast<float>(iq4_values[i] + iq4_values[i + 1]);
    value = select_less(splat(middle), x, splat(static_cast<float>(iq4_values[i + 1])), value);
  }
  return value;
}

// Scale of 32 values for codes of the table.
inline float fit_iq4_scale(const float* x) {
  const float far = extremes(x, 32).signed_absolute();
  if (far == 0) return 0;
  float inverse[n_trials];
  for (int t = 0; t < n_trials; ++t) {
    const int pair = t / 2;
    const float delta = static_cast<float>(pair) * 4.0f;
    inverse[t] = (t % 2 == 0 ? -115 - delta : 101 + delta) / far;
  }
  float best_score = 0;
  float scale = 0;
  for (int round = 0; round < 2; ++round) {
    for (int part = 0; part < n_trials; part += n_lanes) {
      const VecF inv = load(inverse + part);
      VecF qq_sum = zero();
      VecF xq_sum = zero();
      for (int i = 0; i < 32; ++i) {
        const VecF q = nearest_iq4_values(splat(x[i]) * inv);
        qq_sum = madd(q, q, qq_sum);
        xq_sum = madd(q, splat(x[i]), xq_sum);
      }
      float qq[n_lanes];
      float xq[n_lanes];
      store(qq, qq_sum);
      store(xq, xq_sum);
      for (int l = 0; l < n_lanes; ++l) {
        if (xq[l] * xq[l] > best_score * qq[l]) {
          best_score = xq[l] * xq[l] / qq[l];
          scale = xq[l] / qq[l];
        }
      }
    }
    for (int t = 0; t < n_trials; ++t) inverse[t] = (0.925f + 0.01f * static_cast<float>(t)) * inverse_or_zero(scale);
  }
  return scale;
}

inline float iq4_error(const float* x, float scale) {
  const VecF inverse = splat(inverse_or_zero(scale));
  VecF sum = zero();
  for (int i = 0; i < 32; i += n_lanes) {
    const VecF v = load(x + i);
    const VecF rest = nmadd(nearest_iq4_values(v * inverse), splat(scale), v);
    sum = madd(rest, rest, sum);
  }
  return reduce_add(sum);
}

inline void pack_iq4(const float* x, float scale, u8* out) {
  const float inverse = inverse_or_zero(scale);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<u8>(nearest_iq4(x[i] * inverse) | nearest_iq4(x[i + 16] * inverse) << 4);
  }
}

inline void encode_iq4_nl(const float* x, u8* b) {
  const float d = rounded_to_half(fit_iq4_scale(x));
  put_half(b, d);
  pack_iq4(x, d, b + 2);
}

inline void encode_iq4_xs(const float* x, u8* b) {
  float fit[8];
  float top = 0;
  for (int k = 0; k < 8; ++k) {
    fit[k] = fit_iq4_scale(x + 32 * k);
    if (__builtin_fabsf(fit[k]) > __builtin_fabsf(top)) top = fit[k];
  }
  const float d = rounded_to_half(-top / 32);
  put_half(b, d);
  for (int i = 2; i < 8; ++i) b[i] = 0;
  for (int k = 0; k < 8; ++k) {
    const int middle = nearest_in(fit[k] * inverse_or_zero(d), -32, 31);
    int best = middle;
    float best_error = iq4_error(x + 32 * k, d * static_cast<float>(middle));
    for (int scale = middle - 1; scale <= middle + 1; scale += 2) {
      if (scale < -32 || scale > 31) continue;
      const float error = iq4_error(x + 32 * k, d * static_cast<float>(scale));
      if (error < best_error) {
        best_error = error;
        best = scale;
      }
    }
    const unsigned bits = static_cast<unsigned>(best + 32);
    b[4 + k / 2] = static_cast<u8>(b[4 + k / 2] | (bits & 15u) << 4 * (k % 2));
    b[2 + k / 4] = static_cast<u8>(b[2 + k / 4] | (bits >> 4) << 2 * (k % 4));
    pack_iq4(x + 32 * k, d * static_cast<float>(best), b + 8 + 16 * k);
  }
}

template <int n_elements, int n_bytes, void (*encode)(const float*, u8*)>
bool encode_blocks(const float* src, u8* dst, std::int64_t n) {
  for (std::int64_t i = 0; i < n / n_elements; ++i) encode(src + i * n_elements, dst + i * n_bytes);
  return true;
}

inline bool encode_f16(const float* src, std::uint16_t* dst, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) store_f16(dst + i, load(src + i));
  for (; i < n; ++i) dst[i] = half_from_float(src[i]);
  return true;
}

inline bool encode_bf16(const float* src, std::uint16_t* dst, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = bits_from_float(src[i]);
    const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const std::uint32_t nan = bits >> 16 | 0x40u;
    dst[i] = static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
  return true;
}
