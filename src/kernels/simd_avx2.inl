// Vector wrapper for AVX2 + FMA + F16C: 8 floats. Included once by each isa_avx*.cpp in its unnamed namespace.

constexpr int n_lanes = 8;

struct VecF {
  __m256 v;
};

inline VecF zero() {
  return {_mm256_setzero_ps()};
}
inline VecF splat(float x) {
  return {_mm256_set1_ps(x)};
}
inline VecF load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline void store(float* p, VecF a) {
  _mm256_storeu_ps(p, a.v);
}

inline __m256i first_lanes(std::int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}

// The first n lanes (0 <= n < n_lanes); the others are zero, memory beyond is not touched.
inline VecF load_part(const float* p, std::int64_t n) {
  return {_mm256_maskload_ps(p, first_lanes(n))};
}
inline void store_part(float* p, std::int64_t n, VecF a) {
  _mm256_maskstore_ps(p, first_lanes(n), a.v);
}

inline VecF load_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline void copy_part(std::uint16_t* to, const std::uint16_t* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = from[i];
}
inline VecF load_f16_part(const std::uint16_t* p, std::int64_t n) {
  alignas(16) std::uint16_t part[n_lanes] = {};
  copy_part(part, p, n);
  return load_f16(part);
}
inline void store_f16(std::uint16_t* p, VecF a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
inline VecF load_bf16(const std::uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}
inline VecF load_bf16_part(const std::uint16_t* p, std::int64_t n) {
  alignas(16) std::uint16_t part[n_lanes] = {};
  copy_part(part, p, n);
  return load_bf16(part);
}

inline VecF operator+(VecF a, VecF b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline VecF operator-(VecF a, VecF b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline VecF operator*(VecF a, VecF b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline VecF operator/(VecF a, VecF b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline VecF madd(VecF a, VecF b, VecF c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}  // a * b + c
inline VecF nmadd(VecF a, VecF b, VecF c) {
  return {_mm256_fnmadd_ps(a.v, b.v, c.v)};
}  // c - a * b
inline VecF max(VecF a, VecF b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline VecF min(VecF a, VecF b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline VecF abs(VecF a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
inline VecF sqrt(VecF a) {
  return {_mm256_sqrt_ps(a.v)};
}
inline VecF round_nearest(VecF a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^n for whole n in [-126, 127]
inline VecF pow2(VecF n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23))};
}
// p 2^n for whole n in [-252, 252], in two factors: n may leave the exponents of normal numbers.
inline VecF times_pow2(VecF p, VecF n) {
  const VecF half = round_nearest(n * splat(0.5f));
  return p * pow2(half) * pow2(n - half);
}
// a < b ? x : y
inline VecF select_less(VecF a, VecF b, VecF x, VecF y) {
  return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}

// Sums and maxima over the lanes in one fixed tree: lane i with i + 4, then i + 2, i + 1.
inline float reduce_add(VecF a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float reduce_max(VecF a) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
// Joins the lanes of each of four vectors, in one fixed tree.
template <typename Join>
void reduce4(const VecF* a, Join join, float* out) {
  const __m256 first = join(_mm256_unpacklo_ps(a[0].v, a[1].v), _mm256_unpackhi_ps(a[0].v, a[1].v));
  const __m256 second = join(_mm256_unpacklo_ps(a[2].v, a[3].v), _mm256_unpackhi_ps(a[2].v, a[3].v));
  const __m256 two = join(_mm256_shuffle_ps(first, second, 0x44), _mm256_shuffle_ps(first, second, 0xee));
  const __m256 one = join(two, _mm256_permute2f128_ps(two, two, 1));
  _mm_storeu_ps(out, _mm256_castps256_ps128(one));
}
// The sum, or the greatest, of the lanes of each of four vectors.
inline void reduce_add4(const VecF* a, float* out) {
  reduce4(
      a, [](__m256 x, __m256 y) { return _mm256_add_ps(x, y); }, out);
}
inline void reduce_max4(const VecF* a, float* out) {
  reduce4(
      a, [](__m256 x, __m256 y) { return _mm256_max_ps(x, y); }, out);
}

// A half in every lane.
inline VecF splat_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(*p)))};
}
// n_lanes signed bytes as floats.
inline VecF load_i8(const std::byte* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
// The low (shift 0) or high (shift 4) four bits of n_lanes bytes as floats.
inline VecF load_u4(const std::byte* p, int shift) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  const __m256i wide = _mm256_srlv_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(shift));
  return {_mm256_cvtepi32_ps(_mm256_and_si256(wide, _mm256_set1_epi32(15)))};
}
