// Vector wrapper without intrinsics: 4 floats in the compilers' vector extension, which becomes SSE2, NEON or plain
// code. Included by isa_scalar.cpp in its unnamed namespace.

constexpr int n_lanes = 4;

typedef float Float4 __attribute__((vector_size(16)));

struct VecF {
  Float4 v;
};

inline VecF zero() {
  return {Float4{}};
}
inline VecF splat(float x) {
  return {Float4{x, x, x, x}};
}
inline VecF load(const float* p) {
  VecF a;
  __builtin_memcpy(&a.v, p, sizeof a.v);
  return a;
}
inline void store(float* p, VecF a) {
  __builtin_memcpy(p, &a.v, sizeof a.v);
}

// The first n lanes (0 <= n < n_lanes); the others are zero, memory beyond is not touched.
inline VecF load_part(const float* p, std::int64_t n) {
  VecF a = zero();
  for (int i = 0; i < n; ++i) a.v[i] = p[i];
  return a;
}
inline void store_part(float* p, std::int64_t n, VecF a) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}

inline VecF load_f16_part(const std::uint16_t* p, std::int64_t n) {
  VecF a = zero();
  for (int i = 0; i < n; ++i) a.v[i] = float_from_half(p[i]);
  return a;
}
inline VecF load_f16(const std::uint16_t* p) {
  return load_f16_part(p, n_lanes);
}
inline void store_f16(std::uint16_t* p, VecF a) {
  for (int i = 0; i < n_lanes; ++i) p[i] = half_from_float(a.v[i]);
}
inline VecF load_bf16_part(const std::uint16_t* p, std::int64_t n) {
  VecF a = zero();
  for (int i = 0; i < n; ++i) a.v[i] = float_from_bfloat(p[i]);
  return a;
}
inline VecF load_bf16(const std::uint16_t* p) {
  return load_bf16_part(p, n_lanes);
}

inline VecF operator+(VecF a, VecF b) {
  return {a.v + b.v};
}
inline VecF operator-(VecF a, VecF b) {
  return {a.v - b.v};
}
inline VecF operator*(VecF a, VecF b) {
  return {a.v * b.v};
}
inline VecF operator/(VecF a, VecF b) {
  return {a.v / b.v};
}
inline VecF madd(VecF a, VecF b, VecF c) {
  return {a.v * b.v + c.v};
}  // a * b + c, rounded twice
inline VecF nmadd(VecF a, VecF b, VecF c) {
  return {c.v - a.v * b.v};
}  // c - a * b, rounded twice
// a < b ? x : y
inline VecF select_less(VecF a, VecF b, VecF x, VecF y) {
  return {a.v < b.v ? x.v : y.v};
}
inline VecF max(VecF a, VecF b) {
  return select_less(b, a, a, b);
}
inline VecF min(VecF a, VecF b) {
  return select_less(a, b, a, b);
}
inline VecF abs(VecF a) {
  for (int i = 0; i < n_lanes; ++i) a.v[i] = __builtin_fabsf(a.v[i]);
  return a;
}
inline VecF sqrt(VecF a) {
  for (int i = 0; i < n_lanes; ++i) a.v[i] = __builtin_sqrtf(a.v[i]);
  return a;
}
inline VecF round_nearest(VecF a) {
  const VecF shift = splat(0x1.8p23f);  // whole numbers lie beyond; below 2^22 adding it rounds
  return select_less(abs(a), splat(0x1p22f), (a + shift) - shift, a);
}
// 2^n for whole n in [-126, 127]
inline VecF pow2(VecF n) {
  for (int i = 0; i < n_lanes; ++i) {
    n.v[i] = float_from_bits(static_cast<std::uint32_t>(static_cast<std::int32_t>(n.v[i]) + 127) << 23);
  }
  return n;
}
// p 2^n for whole n in [-252, 252], in two factors: n may leave the exponents of normal numbers.
inline VecF times_pow2(VecF p, VecF n) {
  const VecF half = round_nearest(n * splat(0.5f));
  return p * pow2(half) * pow2(n - half);
}

// Sums and maxima over the lanes in one fixed tree: lane i with i + 2, then i + 1.
inline float reduce_add(VecF a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
inline float reduce_max(VecF a) {
  const float even = a.v[0] > a.v[2] ? a.v[0] : a.v[2];
  const float odd = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return even > odd ? even : odd;
}
// The sum, or the greatest, of the lanes of each of four vectors.
inline void reduce_add4(const VecF* a, float* out) {
  for (int i = 0; i < 4; ++i) out[i] = reduce_add(a[i]);
}
inline void reduce_max4(const VecF* a, float* out) {
  for (int i = 0; i < 4; ++i) out[i] = reduce_max(a[i]);
}

// A half in every lane.
inline VecF splat_f16(const std::uint16_t* p) {
  return splat(float_from_half(*p));
}
// n_lanes signed bytes as floats.
inline VecF load_i8(const std::byte* p) {
  VecF a = zero();
  for (int i = 0; i < n_lanes; ++i) a.v[i] = static_cast<float>(static_cast<signed char>(p[i]));
  return a;
}
// The low (shift 0) or high (shift 4) four bits of n_lanes bytes as floats.
inline VecF load_u4(const std::byte* p, int shift) {
  VecF a = zero();
  for (int i = 0; i < n_lanes; ++i) a.v[i] = static_cast<float>(static_cast<int>(p[i]) >> shift & 15);
  return a;
}
