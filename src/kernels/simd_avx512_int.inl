// Integer half of the AVX-512 wrapper: a lane is one weight row and holds four 8-bit codes of neighbouring columns.

struct VecI {
  __m512i v;
};

inline VecI zero_i() {
  return {_mm512_setzero_si512()};
}
inline VecI splat_i32(std::int32_t x) {
  return {_mm512_set1_epi32(x)};
}
inline VecI splat_i8(int x) {
  return {_mm512_set1_epi8(static_cast<char>(x))};
}
inline VecI load_i(const void* p) {
  return {_mm512_loadu_si512(p)};
}
inline void store_i(void* p, VecI a) {
  _mm512_storeu_si512(p, a.v);
}
// Four codes of activations, the same in all lanes.
inline VecI splat_codes(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return {_mm512_set1_epi32(word)};
}

inline VecI operator+(VecI a, VecI b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline VecI operator-(VecI a, VecI b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
inline VecI operator&(VecI a, VecI b) {
  return {_mm512_and_si512(a.v, b.v)};
}
inline VecI operator|(VecI a, VecI b) {
  return {_mm512_or_si512(a.v, b.v)};
}
inline VecI operator^(VecI a, VecI b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
inline VecI add_bytes(VecI a, VecI b) {
  return {_mm512_add_epi8(a.v, b.v)};
}
template <int n>
VecI shift_right(VecI a) {
  return {_mm512_srli_epi32(a.v, n)};
}
template <int n>
VecI shift_left(VecI a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
VecI shift_right_signed(VecI a) {
  return {_mm512_srai_epi32(a.v, n)};
}
inline VecF to_float(VecI a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
inline VecI as_bits(VecF a) {
  return {_mm512_castps_si512(a.v)};
}
inline VecF as_float(VecI bits) {
  return {_mm512_castsi512_ps(bits.v)};
}
// The half-precision number in the low half of each lane.
inline VecF low_half(VecI a) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a.v))};
}

struct Table16 {
  __m512i v;
};
inline Table16 make_table16(const std::int8_t* codes, int add) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  return {_mm512_broadcast_i32x4(_mm_add_epi8(table, _mm_set1_epi8(static_cast<char>(add))))};
}
// Every byte (0..15) replaced by its entry.
inline VecI look_up(Table16 table, VecI index) {
  return {_mm512_shuffle_epi8(table.v, index.v)};
}

// Adds `value` to byte i of a lane where bit 4 * j + i of the same lane of `bits` is set.
template <int j>
VecI add_where_bits(VecI a, VecI bits, int value) {
  const __m512i spread = _mm512_shuffle_epi8(
      bits.v, _mm512_broadcast_i32x4(_mm_setr_epi32(0x01010101 * (j / 2), 0x01010101 * (j / 2 + 4),
                                                    0x01010101 * (j / 2 + 8), 0x01010101 * (j / 2 + 12))));
  const __mmask64 set = _mm512_test_epi8_mask(spread, _mm512_set1_epi32(j % 2 == 0 ? 0x08040201 : -0x7fbfdff0));
  return {_mm512_mask_add_epi8(a.v, set, a.v, _mm512_set1_epi8(static_cast<char>(value)))};
}

// The same four bytes of all rows: lane r is the word at p + r * stride.
inline VecI load_column4(const std::uint8_t* p, std::int64_t stride) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i offset = _mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(stride)));
  return {_mm512_i32gather_epi32(offset, p, 1)};
}

// The same 16 bytes of all rows: lane r of out[j] is the word at p + r * stride + 4 * j.
inline void load_column16(const std::uint8_t* p, std::int64_t stride, VecI* out) {
  const auto four_rows = [&](int r) {
    const auto row = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + (r + i) * stride)); };
    __m512i v = _mm512_castsi128_si512(row(0));
    v = _mm512_inserti32x4(v, row(4), 1);
    v = _mm512_inserti32x4(v, row(8), 2);
    return _mm512_inserti32x4(v, row(12), 3);
  };
  const __m512i a = four_rows(0);
  const __m512i b = four_rows(1);
  const __m512i c = four_rows(2);
  const __m512i d = four_rows(3);
  const __m512i ab_low = _mm512_unpacklo_epi32(a, b);
  const __m512i ab_high = _mm512_unpackhi_epi32(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi32(c, d);
  const __m512i cd_high = _mm512_unpackhi_epi32(c, d);
  out[0].v = _mm512_unpacklo_epi64(ab_low, cd_low);
  out[1].v = _mm512_unpackhi_epi64(ab_low, cd_low);
  out[2].v = _mm512_unpacklo_epi64(ab_high, cd_high);
  out[3].v = _mm512_unpackhi_epi64(ab_high, cd_high);
}

#if defined(__AVX512VNNI__)

// Codes of the whole int8 range are held as unsigned bytes, 128 added.
constexpr int wide_offset = 128;
constexpr bool any_unsigned_codes = true;  // dot takes codes up to 255
inline VecI wide_codes(VecI a) {
  return {_mm512_xor_si512(a.v, _mm512_set1_epi8(-128))};
}
// Adds the four products of codes and activations to each lane.
template <bool wide>
VecI dot(VecI sum, VecI codes, VecI act) {
  return {_mm512_dpbusd_epi32(sum.v, codes.v, act.v)};
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
    act.v = _mm512_mask_sub_epi8(act.v, _mm512_movepi8_mask(codes.v), _mm512_setzero_si512(), act.v);
    codes.v = _mm512_abs_epi8(codes.v);
  }
  const __m512i pairs = _mm512_maddubs_epi16(codes.v, act.v);
  return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}

#endif

// Whole numbers in [-127, 127] as bytes.
inline void store_i8(std::int8_t* p, VecF a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
