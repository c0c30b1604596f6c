// Products of BF16 weights by the instruction that adds the products of two pairs of bfloat16 to a float (vdpbf16ps).
//
// An activation becomes high + low, 16 of its 24 bits. A step takes 32 columns: lane l the columns 2 l and 2 l + 1,
// first their products with the low parts, then with the high ones. The instruction takes denormals for zero.

// A packed row: a step's 32 high parts, then its 32 low ones.
struct BF16Pairs {
  using Element = std::uint16_t;
  using Act = std::uint16_t;
  struct Word {
    __m512bh pairs;
  };
  struct Parts {
    Word high, low;
  };
  static constexpr bool is_read_in_place = true;
  static constexpr std::int64_t step = 32;

  static std::int64_t act_row_elements(std::int64_t n_cols) { return (n_cols + 31) / 32 * 64; }
  static Word full(const std::uint16_t* p) { return {(__m512bh)_mm512_loadu_si512(p)}; }
  static Word part(const std::uint16_t* p, std::int64_t n) {
    return {(__m512bh)_mm512_maskz_loadu_epi16((1u << n) - 1u, p)};
  }
  static Parts load_act(const std::uint16_t* row, std::int64_t k) {
    return {full(row + 2 * k), full(row + 2 * k + 32)};
  }
  static VecF add(Word weight, const Parts& act, VecF sum) {
    const __m512 low = _mm512_dpbf16_ps(sum.v, weight.pairs, act.low.pairs);
    return {_mm512_dpbf16_ps(low, weight.pairs, act.high.pairs)};
  }
};

inline std::int64_t split_row_bytes(std::int64_t n_cols) {
  return BF16Pairs::act_row_elements(n_cols) * 2;
}
inline std::int64_t split_scratch_bytes(std::int64_t) {
  return 0;
}
inline bool takes_split_act(TensorType weight) {
  return weight == TensorType::BF16;
}

inline void pack_act_split(const float* x, std::int64_t n_cols, std::byte* out) {
  std::uint16_t* row = reinterpret_cast<std::uint16_t*>(out);
  const auto put = [](std::uint16_t* to, __m256bh parts) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)parts);
  };
  for (std::int64_t column = 0; column < (n_cols + 31) / 32 * 32; column += n_lanes) {
    const std::int64_t rest = n_cols - column;
    const VecF v = rest >= n_lanes ? load(x + column) : rest > 0 ? load_part(x + column, rest) : zero();
    std::uint16_t* to = row + column / 32 * 64 + column % 32;
    put(to, _mm512_cvtneps_pbh(v.v));
    put(to + 32, _mm512_cvtneps_pbh((v - load_bf16(to)).v));
  }
}

inline void matmul_split(const MatmulTask& task) {
  matmul_float<BF16Pairs>(task);
}
