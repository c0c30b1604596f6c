// Integer half of the portable wrapper: a lane is one weight row and holds four 8-bit codes of neighbouring columns.

typedef std::int32_t Int4 __attribute__((vector_size(16)));
typedef std::uint32_t UInt4 __attribute__((vector_size(16)));
typedef std::uint8_t Byte16 __attribute__((vector_size(16)));

struct VecI {
  UInt4 v;
};

inline VecI splat_i32(std::int32_t x) {
  const std::uint32_t u = static_cast<std::uint32_t>(x);
  return {UInt4{u, u, u, u}};
}
inline VecI zero_i() {
  return splat_i32(0);
}
inline VecI splat_i8(int x) {
  return splat_i32(static_cast<std::int32_t>((static_cast<std::uint32_t>(x) & 255u) * 0x01010101u));
}
inline VecI load_i(const void* p) {
  VecI a;
  __builtin_memcpy(&a.v, p, sizeof a.v);
  return a;
}
inline void store_i(void* p, VecI a) {
  __builtin_memcpy(p, &a.v, sizeof a.v);
}
// Four codes of activations, the same in all lanes.
inline VecI splat_codes(const std::int8_t* p) {
  std::int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return splat_i32(word);
}

inline VecI operator+(VecI a, VecI b) {
  return {a.v + b.v};
}
inline VecI operator-(VecI a, VecI b) {
  return {a.v - b.v};
}
inline VecI operator&(VecI a, VecI b) {
  return {a.v & b.v};
}
inline VecI operator|(VecI a, VecI b) {
  return {a.v | b.v};
}
inline VecI operator^(VecI a, VecI b) {
  return {a.v ^ b.v};
}
inline VecI add_bytes(VecI a, VecI b) {
  Byte16 x;
  Byte16 y;
  __builtin_memcpy(&x, &a, sizeof x);
  __builtin_memcpy(&y, &b, sizeof y);
  x += y;
  __builtin_memcpy(&a, &x, sizeof x);
  return a;
}
template <int n>
VecI shift_right(VecI a) {
  return {a.v >> n};
}
template <int n>
VecI shift_left(VecI a) {
  return {a.v << n};
}
template <int n>
VecI shift_right_signed(VecI a) {
  for (int i = 0; i < n_lanes; ++i) a.v[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(a.v[i]) >> n);
  return a;
}
inline VecF to_float(VecI a) {
  VecF f;
  for (int i = 0; i < n_lanes; ++i) f.v[i] = static_cast<float>(static_cast<std::int32_t>(a.v[i]));
  return f;
}
inline VecI as_bits(VecF f) {
  VecI a;
  __builtin_memcpy(&a, &f, sizeof a);
  return a;
}
inline VecF as_float(VecI bits) {
  VecF f;
  __builtin_memcpy(&f, &bits, sizeof f);
  return f;
}
// The half-precision number in the low half of each lane.
inline VecF low_half(VecI a) {
  VecF f;
  for (int i = 0; i < n_lanes; ++i) f.v[i] = float_from_half(static_cast<std::uint16_t>(a.v[i]));
  return f;
}

struct Table16 {
  std::uint8_t entry[16];
};
inline Table16 make_table16(const std::int8_t* codes, int add) {
  Table16 table;
  for (int i = 0; i < 16; ++i) table.entry[i] = static_cast<std::uint8_t>(codes[i] + add);
  return table;
}
// Every byte (0..15) replaced by its entry.
inline VecI look_up(const Table16& table, VecI index) {
  std::uint8_t byte[16];
  store_i(byte, index);
  for (std::uint8_t& b : byte) b = table.entry[b & 15];
  return load_i(byte);
}

// Adds `value` to byte i of a lane where bit 4 * j + i of the same lane of `bits` is set.
template <int j>
VecI add_where_bits(VecI a, VecI bits, int value) {
  UInt4 four = bits.v >> (4 * j) & 15u;
  four = (four | four << 7 | four << 14 | four << 21) & 0x01010101u;  // bit i to the bottom of byte i
  return add_bytes(a, VecI{four * static_cast<std::uint32_t>(value)});
}

// The same four bytes of all rows: lane r is the word at p + r * stride.
inline VecI load_column4(const std::uint8_t* p, std::int64_t stride) {
  std::uint32_t word[n_lanes];
  for (int r = 0; r < n_lanes; ++r) __builtin_memcpy(&word[r], p + r * stride, sizeof word[r]);
  return load_i(word);
}

// The same 16 bytes of all rows: lane r of out[j] is the word at p + r * stride + 4 * j.
inline void load_column16(const std::uint8_t* p, std::int64_t stride, VecI* out) {
  for (int j = 0; j < 4; ++j) out[j] = load_column4(p + 4 * j, stride);
}

constexpr int wide_offset = 0;
constexpr bool any_unsigned_codes = false;
inline VecI wide_codes(VecI a) {
  return a;
}
// Adds the four products of codes (0..63, or signed if wide) and activations (-127..127) to each lane.
template <bool wide>
VecI dot(VecI sum, VecI codes, VecI act) {
  Int4 total;
  __builtin_memcpy(&total, &sum, sizeof total);
  Int4 w;
  Int4 a;
  __builtin_memcpy(&w, &codes, sizeof w);
  __builtin_memcpy(&a, &act, sizeof a);
  total += (w << 24 >> 24) * (a << 24 >> 24);
  total += (w << 16 >> 24) * (a << 16 >> 24);
  total += (w << 8 >> 24) * (a << 8 >> 24);
  total += (w >> 24) * (a >> 24);
  __builtin_memcpy(&sum, &total, sizeof total);
  return sum;
}

// Whole numbers in [-127, 127] as bytes.
inline void store_i8(std::int8_t* p, VecF a) {
  for (int i = 0; i < n_lanes; ++i) p[i] = static_cast<std::int8_t>(a.v[i]);
}
