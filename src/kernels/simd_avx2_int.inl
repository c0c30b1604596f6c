// Integer half of the AVX2 wrapper: a lane is one weight row and holds four 8-bit codes of neighbouring columns.

struct VecI {
  __m256i v;
};

inline VecI zero_i() {
  return {_mm256_setzero_si256()};
}
inline VecI splat_i32(std::int32_t x) {
  return {_mm256_set1_epi32(x)};
}
inline VecI splat_i8(int x) {
  return {_mm256_set1_epi8(static_cast<char>(x))};
}
inline VecI load_i(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p))};
}
inline void store_i(void* p, VecI a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), a.v);
}
// Four codes of activations, the same in all lanes.
inline VecI splat_codes(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return {_mm256_set1_epi32(word)};
}

inline VecI operator+(VecI a, VecI b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
inline VecI operator-(VecI a, VecI b) {
  return {_mm256_sub_epi32(a.v, b.v)};
}
inline VecI operator&(VecI a, VecI b) {
  return {_mm256_and_si256(a.v, b.v)};
}
inline VecI operator|(VecI a, VecI b) {
  return {_mm256_or_si256(a.v, b.v)};
}
inline VecI operator^(VecI a, VecI b) {
  return {_mm256_xor_si256(a.v, b.v)};
}
inline VecI add_bytes(VecI a, VecI b) {
  return {_mm256_add_epi8(a.v, b.v)};
}
template <int n>
VecI shift_right(VecI a) {
  return {_mm256_srli_epi32(a.v, n)};
}
template <int n>
VecI shift_left(VecI a) {
  return {_mm256_slli_epi32(a.v, n)};
}
template <int n>
VecI shift_right_signed(VecI a) {
  return {_mm256_srai_epi32(a.v, n)};
}
inline VecF to_float(VecI a) {
  return {_mm256_cvtepi32_ps(a.v)};
}
inline VecI as_bits(VecF a) {
  return {_mm256_castps_si256(a.v)};
}
inline VecF as_float(VecI bits) {
  return {_mm256_castsi256_ps(bits.v)};
}
// The half-precision number in the low half of each lane.
inline VecF low_half(VecI a) {
  const __m256i low = _mm256_and_si256(a.v, _mm256_set1_epi32(0xffff));
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  return {_mm256_cvtph_ps(packed)};
}

struct Table16 {
  __m256i v;
};
inline Table16 make_table16(const std::int8_t* codes, int add) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  return {_mm256_broadcastsi128_si256(_mm_add_epi8(table, _mm_set1_epi8(static_cast<char>(add))))};
}
// Every byte (0..15) replaced by its entry.
inline VecI look_up(Table16 table, VecI index) {
  return {_mm256_shuffle_epi8(table.v, index.v)};
}

// Adds `value` to byte i of a lane where bit 4 * j + i of the same lane of `bits` is set.
template <int j>
VecI add_where_bits(VecI a, VecI bits, int value) {
  const __m256i spread = _mm256_shuffle_epi8(
      bits.v, _mm256_broadcastsi128_si256(_mm_setr_epi32(0x01010101 * (j / 2), 0x01010101 * (j / 2 + 4),
                                                         0x01010101 * (j / 2 + 8), 0x01010101 * (j / 2 + 12))));
  const __m256i bit = _mm256_set1_epi32(j % 2 == 0 ? 0x08040201 : -0x7fbfdff0);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return {_mm256_add_epi8(a.v, _mm256_and_si256(set, _mm256_set1_epi8(static_cast<char>(value))))};
}

// The same four bytes of all rows: lane r is the word at p + r * stride.
inline VecI load_column4(const std::uint8_t* p, std::int64_t stride) {
  std::int32_t word[n_lanes];
  for (int r = 0; r < n_lanes; ++r) __builtin_memcpy(&word[r], p + r * stride, sizeof word[r]);
  return {_mm256_setr_epi32(word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7])};
}

// The same 16 bytes of all rows: lane r of out[j] is the word at p + r * stride + 4 * j.
inline void load_column16(const std::uint8_t* p, std::int64_t stride, VecI* out) {
  const auto two_rows = [&](int r) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + r * stride));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + (r + 4) * stride));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  };
  const __m256i a = two_rows(0);
  const __m256i b = two_rows(1);
  const __m256i c = two_rows(2);
  const __m256i d = two_rows(3);
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b);
  const __m256i ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d);
  const __m256i cd_high = _mm256_unpackhi_epi32(c, d);
  out[0].v = _mm256_unpacklo_epi64(ab_low, cd_low);
  out[1].v = _mm256_unpackhi_epi64(ab_low, cd_low);
  out[2].v = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3].v = _mm256_unpackhi_epi64(ab_high, cd_high);
}

#if defined(__AVXVNNI__)

// Codes of the whole int8 range are held as unsigned bytes, 128 added.
constexpr int wide_offset = 128;
constexpr bool any_unsigned_codes = true;  // dot takes codes up to 255
inline VecI wide_codes(VecI a) {
  return {_mm256_xor_si256(a.v, _mm256_set1_epi8(-128))};
}
// Adds the four products of codes and activations to each lane.
template <bool wide>
VecI dot(VecI sum, VecI codes, VecI act) {
  return {_mm256_dpbusd_avx_epi32(sum.v, codes.v, act.v)};
}

#else

constexpr int wide_offset = 0;
constexpr bool any_unsigned_codes = false;
inline VecI wide_codes(VecI a) {
  return a;
}
// Adds the four products of codes (0..63, or signed if wide) and activations (-127..127) to each lane. Sums of two
// products stay below 2^15.
template <bool wide>
VecI dot(VecI sum, VecI codes, VecI act) {
  if constexpr (wide) {
    act.v = _mm256_sign_epi8(act.v, codes.v);
    codes.v = _mm256_abs_epi8(codes.v);
  }
  const __m256i pairs = _mm256_maddubs_epi16(codes.v, act.v);
  return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}

#endif

// Whole numbers in [-127, 127] as bytes.
inline void store_i8(std::int8_t* p, VecF a) {
  const __m256i wide = _mm256_cvtps_epi32(a.v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
