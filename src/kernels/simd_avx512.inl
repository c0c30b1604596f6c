// Vector wrapper for AVX-512 (F, BW, VL, DQ): 16 floats. Included once by each isa_avx512*.cpp in its unnamed
// namespace.

constexpr int n_lanes = 16;

struct VecF {
  __m512 v;
};

inline VecF zero() {
  return {_mm512_setzero_ps()};
}
inline VecF splat(float x) {
  return {_mm512_set1_ps(x)};
}
inline VecF load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline void store(float* p, VecF a) {
  _mm512_storeu_ps(p, a.v);
}

inline __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}

// The first n lanes (0 <= n < n_lanes); the others are zero, memory beyond is not touched.
inline VecF load_part(const float* p, std::int64_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
inline void store_part(float* p, std::int64_t n, VecF a) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}

inline VecF load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline VecF load_f16_part(const std::uint16_t* p, std::int64_t n) {
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p))};
}
inline void store_f16(std::uint16_t* p, VecF a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
inline VecF load_bf16(const std::uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline VecF load_bf16_part(const std::uint16_t* p, std::int64_t n) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}

inline VecF operator+(VecF a, VecF b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline VecF operator-(VecF a, VecF b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline VecF operator*(VecF a, VecF b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline VecF operator/(VecF a, VecF b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline VecF madd(VecF a, VecF b, VecF c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}  // a * b + c
inline VecF nmadd(VecF a, VecF b, VecF c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}  // c - a * b
inline VecF max(VecF a, VecF b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline VecF min(VecF a, VecF b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline VecF abs(VecF a) {
  return {_mm512_abs_ps(a.v)};
}
inline VecF sqrt(VecF a) {
  return {_mm512_sqrt_ps(a.v)};
}
inline VecF round_nearest(VecF a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// p 2^n for whole n
inline VecF times_pow2(VecF p, VecF n) {
  return {_mm512_scalef_ps(p.v, n.v)};
}
// a < b ? x : y
inline VecF select_less(VecF a, VecF b, VecF x, VecF y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}

// Sums and maxima over the lanes in one fixed tree: lane i with i + 8, then i + 4, i + 2, i + 1.
inline float reduce_add(VecF a) {
  const __m256 high = _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(a.v), 1));
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float reduce_max(VecF a) {
  return _mm512_reduce_max_ps(a.v);
}
// Joins the lanes of each of four vectors, in one fixed tree.
template <typename Join>
void reduce4(const VecF* a, Join join, float* out) {
  const __m512 first = join(_mm512_unpacklo_ps(a[0].v, a[1].v), _mm512_unpackhi_ps(a[0].v, a[1].v));
  const __m512 second = join(_mm512_unpacklo_ps(a[2].v, a[3].v), _mm512_unpackhi_ps(a[2].v, a[3].v));
  const __m512 four = join(_mm512_shuffle_ps(first, second, 0x44), _mm512_shuffle_ps(first, second, 0xee));
  const __m512 two = join(four, _mm512_shuffle_f32x4(four, four, 0x4e));
  const __m512 one = join(two, _mm512_shuffle_f32x4(two, two, 0xb1));
  _mm_storeu_ps(out, _mm512_castps512_ps128(one));
}
// The sum, or the greatest, of the lanes of each of four vectors.
inline void reduce_add4(const VecF* a, float* out) {
  reduce4(
      a, [](__m512 x, __m512 y) { return _mm512_add_ps(x, y); }, out);
}
inline void reduce_max4(const VecF* a, float* out) {
  reduce4(
      a, [](__m512 x, __m512 y) { return _mm512_max_ps(x, y); }, out);
}

// A half in every lane.
inline VecF splat_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(*p)))};
}
// n_lanes signed bytes as floats.
inline VecF load_i8(const std::byte* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
// The low (shift 0) or high (shift 4) four bits of n_lanes bytes as floats.
inline VecF load_u4(const std::byte* p, int shift) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m512i wide = _mm512_srlv_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(shift));
  return {_mm512_cvtepi32_ps(_mm512_and_si512(wide, _mm512_set1_epi32(15)))};
}
