// How keys and values of the cache are read as floats: one type per form. See attention_kernels.h for the layout.

constexpr std::int64_t key_step = 32;  // keys at a time; blocks hold whole steps

inline const std::uint16_t* as_halves(const std::byte* p) {
  return reinterpret_cast<const std::uint16_t*>(p);
}

// Keys: at(group, d, lane, scale) gives entry d of the keys [lane, lane + n_lanes) of a group; scale is theirs for the
// 32 entries around d. is_plain: floats already.
struct KeysF32 {
  static constexpr bool is_plain = true;
  static constexpr std::int64_t group_bytes(std::int64_t dim) { return dim * 64; }
  static VecF scale(const std::byte*, std::int64_t, std::int64_t) { return zero(); }
  static VecF at(const std::byte* group, std::int64_t d, std::int64_t lane, VecF) {
    return load(reinterpret_cast<const float*>(group) + d * 16 + lane);
  }
};
struct KeysF16 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t group_bytes(std::int64_t dim) { return dim * 32; }
  static VecF scale(const std::byte*, std::int64_t, std::int64_t) { return zero(); }
  static VecF at(const std::byte* group, std::int64_t d, std::int64_t lane, VecF) {
    return load_f16(as_halves(group) + d * 16 + lane);
  }
};
struct KeysBF16 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t group_bytes(std::int64_t dim) { return dim * 32; }
  static VecF scale(const std::byte*, std::int64_t, std::int64_t) { return zero(); }
  static VecF at(const std::byte* group, std::int64_t d, std::int64_t lane, VecF) {
    return load_bf16(as_halves(group) + d * 16 + lane);
  }
};
struct KeysQ8 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t block_bytes = 544;
  static constexpr std::int64_t group_bytes(std::int64_t dim) { return dim / 32 * block_bytes; }
  static VecF scale(const std::byte* group, std::int64_t d, std::int64_t lane) {
    return load_f16(as_halves(group + d / 32 * block_bytes) + lane);
  }
  static VecF at(const std::byte* group, std::int64_t d, std::int64_t lane, VecF scale) {
    return load_i8(group + d / 32 * block_bytes + 32 + d % 32 * 16 + lane) * scale;
  }
};
struct KeysQ4 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t block_bytes = 288;
  static constexpr std::int64_t group_bytes(std::int64_t dim) { return dim / 32 * block_bytes; }
  static VecF scale(const std::byte* group, std::int64_t d, std::int64_t lane) {
    return load_f16(as_halves(group + d / 32 * block_bytes) + lane);
  }
  static VecF at(const std::byte* group, std::int64_t d, std::int64_t lane, VecF scale) {
    const std::byte* pairs = group + d / 32 * block_bytes + 32;
    return (load_u4(pairs + d % 32 / 2 * 16 + lane, static_cast<int>(d % 2) * 4) - splat(8.0f)) * scale;
  }
};

// Values, and keys by row: at(row, i) gives the entries [i, i + n_lanes), part the first `rest` of them.
struct ValuesF32 {
  static constexpr bool is_plain = true;
  static constexpr std::int64_t row_bytes(std::int64_t dim) { return dim * 4; }
  static VecF at(const std::byte* row, std::int64_t i) { return load(reinterpret_cast<const float*>(row) + i); }
  static VecF part(const std::byte* row, std::int64_t i, std::int64_t rest) {
    return load_part(reinterpret_cast<const float*>(row) + i, rest);
  }
};
struct ValuesF16 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t row_bytes(std::int64_t dim) { return dim * 2; }
  static VecF at(const std::byte* row, std::int64_t i) { return load_f16(as_halves(row) + i); }
  static VecF part(const std::byte* row, std::int64_t i, std::int64_t rest) {
    return load_f16_part(as_halves(row) + i, rest);
  }
};
struct ValuesBF16 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t row_bytes(std::int64_t dim) { return dim * 2; }
  static VecF at(const std::byte* row, std::int64_t i) { return load_bf16(as_halves(row) + i); }
  static VecF part(const std::byte* row, std::int64_t i, std::int64_t rest) {
    return load_bf16_part(as_halves(row) + i, rest);
  }
};
struct ValuesQ8 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t row_bytes(std::int64_t dim) { return dim / 32 * 34; }
  static VecF at(const std::byte* row, std::int64_t i) {
    const std::byte* block = row + i / 32 * 34;
    return load_i8(block + 2 + i % 32) * splat_f16(as_halves(block));
  }
  static VecF part(const std::byte* row, std::int64_t i, std::int64_t) { return at(row, i); }  // rows are whole blocks
};
struct ValuesQ4 {
  static constexpr bool is_plain = false;
  static constexpr std::int64_t row_bytes(std::int64_t dim) { return dim / 32 * 18; }
  static VecF at(const std::byte* row, std::int64_t i) {
    const std::byte* block = row + i / 32 * 18;
    const std::int64_t place = i % 32;
    const VecF codes = load_u4(block + 2 + place % 16, place < 16 ? 0 : 4);
    return (codes - splat(8.0f)) * splat_f16(as_halves(block));
  }
  static VecF part(const std::byte* row, std::int64_t i, std::int64_t) { return at(row, i); }
};

// Keys and values that were unpacked to floats: in a near cache, so nothing is fetched beside them.
struct KeysPanel : KeysF32 {};
struct ValuesPanel : ValuesF32 {};
template <typename Form>
constexpr bool is_panel = false;
template <>
constexpr bool is_panel<KeysPanel> = true;
template <>
constexpr bool is_panel<ValuesPanel> = true;
