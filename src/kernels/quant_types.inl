// Decoders of quantised weight types to 8-bit codes: each written once over the vector wrapper.
//
// decode(p, stride, sink) reads one block of n_lanes rows at once, row r at p + r * stride, and hands every 32 columns
// to sink.put(i, columns): code word j of a row holds columns 4 j ... 4 j + 3. The weight is
//   scale * (code - offset) - min
// with one scale (and min) per 32 columns (n_scales = 1), or one per 16 (2). Codes are at most 63 and unsigned unless
// `wide`: those are int8, to which the wrapper's wide_offset has been added. A sink that takes_signed gets int8 codes
// without an offset from types that give them: theirs cost less that way.

template <int n_scales>
struct Columns {
  VecI codes[8];
  VecF scale[n_scales];
  VecF min[n_scales];
};

template <int block_bytes_, int n_columns_, int n_scales_, bool has_min_, bool wide_, int offset_>
struct QuantTraits {
  static constexpr int block_bytes = block_bytes_;
  static constexpr int n_groups = n_columns_ / 32;
  static constexpr int n_scales = n_scales_;  // per 32 columns
  static constexpr bool has_min = has_min_;
  static constexpr bool wide = wide_;
  static constexpr int offset = offset_;
  static constexpr bool gives_signed = false;
};

inline VecI low_nibbles(VecI a) {
  return a & splat_i8(15);
}
inline VecI high_nibbles(VecI a) {
  return shift_right<4>(a) & splat_i8(15);
}
inline VecF high_half(VecI a) {
  return low_half(shift_right<16>(a));
}
template <int i>
VecF unsigned_byte(VecI a) {
  return to_float(shift_right<8 * i>(a) & splat_i32(255));
}
template <int i>
VecF signed_byte(VecI a) {
  return to_float(shift_right_signed<24>(shift_left<24 - 8 * i>(a)));
}

// 16 bytes of 4-bit codes: columns 0-15 in the low nibbles, 16-31 in the high ones.
template <typename Columns>
void unpack_nibbles(const std::uint8_t* p, std::int64_t stride, Columns& c) {
  VecI bytes[4];
  load_column16(p, stride, bytes);
  for (int j = 0; j < 4; ++j) {
    c.codes[j] = low_nibbles(bytes[j]);
    c.codes[j + 4] = high_nibbles(bytes[j]);
  }
}

template <typename Columns>
void add_fifth_bits(VecI bits, Columns& c) {
  c.codes[0] = add_where_bits<0>(c.codes[0], bits, 16);
  c.codes[1] = add_where_bits<1>(c.codes[1], bits, 16);
  c.codes[2] = add_where_bits<2>(c.codes[2], bits, 16);
  c.codes[3] = add_where_bits<3>(c.codes[3], bits, 16);
  c.codes[4] = add_where_bits<4>(c.codes[4], bits, 16);
  c.codes[5] = add_where_bits<5>(c.codes[5], bits, 16);
  c.codes[6] = add_where_bits<6>(c.codes[6], bits, 16);
  c.codes[7] = add_where_bits<7>(c.codes[7], bits, 16);
}

struct Q4_0 : QuantTraits<18, 32, 1, false, false, 8> {
  static constexpr bool gives_signed = true;
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    Columns<1> c;
    c.scale[0] = low_half(load_column4(p, stride));
    if constexpr (Sink::takes_signed) {
      // A nibble in the upper half of a byte, its top bit flipped, is 16 times the code less 8.
      VecI bytes[4];
      load_column16(p + 2, stride, bytes);
      for (int j = 0; j < 4; ++j) {
        c.codes[j] = (shift_left<4>(bytes[j]) & splat_i8(0xf0)) ^ splat_i8(0x80);
        c.codes[j + 4] = (bytes[j] & splat_i8(0xf0)) ^ splat_i8(0x80);
      }
      c.scale[0] = c.scale[0] * splat(0x1p-4f);
    } else {
      unpack_nibbles(p + 2, stride, c);
    }
    sink.put(0, c);
  }
};

struct Q4_1 : QuantTraits<20, 32, 1, true, false, 0> {
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    Columns<1> c;
    unpack_nibbles(p + 4, stride, c);
    const VecI head = load_column4(p, stride);
    c.scale[0] = low_half(head);
    c.min[0] = zero() - high_half(head);
    sink.put(0, c);
  }
};

struct Q5_0 : QuantTraits<22, 32, 1, false, false, 16> {
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    Columns<1> c;
    unpack_nibbles(p + 6, stride, c);
    add_fifth_bits(load_column4(p + 2, stride), c);
    c.scale[0] = low_half(load_column4(p, stride));
    sink.put(0, c);
  }
};

struct Q5_1 : QuantTraits<24, 32, 1, true, false, 0> {
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    Columns<1> c;
    unpack_nibbles(p + 8, stride, c);
    add_fifth_bits(load_column4(p + 4, stride), c);
    const VecI head = load_column4(p, stride);
    c.scale[0] = low_half(head);
    c.min[0] = zero() - high_half(head);
    sink.put(0, c);
  }
};

struct Q8_0 : QuantTraits<34, 32, 1, false, true, wide_offset> {
  static constexpr bool gives_signed = true;
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    Columns<1> c;
    load_column16(p + 2, stride, c.codes);
    load_column16(p + 18, stride, c.codes + 4);
    if constexpr (!Sink::takes_signed) {
      for (VecI& codes : c.codes) codes = wide_codes(codes);
    }
    c.scale[0] = low_half(load_column4(p, stride));
    sink.put(0, c);
  }
};

// Twice the E2M1 numbers, 16 added.
struct MXFP4 : QuantTraits<17, 32, 1, false, false, 16> {
  static constexpr bool gives_signed = true;
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    static constexpr std::int8_t e2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const Table16 table = make_table16(e2m1, Sink::takes_signed ? 0 : 16);
    Columns<1> c;
    unpack_nibbles(p + 1, stride, c);
    for (VecI& codes : c.codes) codes = look_up(table, codes);
    // 2^(e - 128) as a product of two powers, since it may be denormal
    const VecI e = load_column4(p, stride) & splat_i32(255);
    const VecI half = shift_right<1>(e);
    const VecI bias = splat_i32(127 - 64);
    c.scale[0] = as_float(shift_left<23>(half + bias)) * as_float(shift_left<23>(e - half + bias));
    sink.put(0, c);
  }
};

inline Table16 iq4_table(int add) {
  static constexpr std::int8_t codes[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  return make_table16(codes, add);
}

struct IQ4_NL : QuantTraits<18, 32, 1, false, true, wide_offset> {
  static constexpr bool gives_signed = true;
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    const Table16 table = iq4_table(Sink::takes_signed ? 0 : wide_offset);
    Columns<1> c;
    unpack_nibbles(p + 2, stride, c);
    for (VecI& codes : c.codes) codes = look_up(table, codes);
    c.scale[0] = low_half(load_column4(p, stride));
    sink.put(0, c);
  }
};

struct IQ4_XS : QuantTraits<136, 256, 1, false, true, wide_offset> {
  static constexpr bool gives_signed = true;
  template <int k, typename Sink>
  static void group(const std::uint8_t* p, std::int64_t stride, VecF d, const VecI* head, Table16 table, Sink& sink) {
    Columns<1> c;
    unpack_nibbles(p + 8 + 16 * k, stride, c);
    for (VecI& codes : c.codes) codes = look_up(table, codes);
    const VecI low = shift_right<4 * k>(head[1]) & splat_i32(15);
    const VecI high = shift_left<4>(shift_right<16 + 2 * k>(head[0]) & splat_i32(3));
    c.scale[0] = d * to_float((low | high) - splat_i32(32));
    sink.put(k, c);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    const Table16 table = iq4_table(Sink::takes_signed ? 0 : wide_offset);
    VecI head[4];  // d and the high scale bits, low scale nibbles
    load_column16(p, stride, head);
    const VecF d = low_half(head[0]);
    group<0>(p, stride, d, head, table, sink);
    group<1>(p, stride, d, head, table, sink);
    group<2>(p, stride, d, head, table, sink);
    group<3>(p, stride, d, head, table, sink);
    group<4>(p, stride, d, head, table, sink);
    group<5>(p, stride, d, head, table, sink);
    group<6>(p, stride, d, head, table, sink);
    group<7>(p, stride, d, head, table, sink);
  }
};

// Two bits of each byte, bits 2 * part and 2 * part + 1.
template <int part>
VecI bit_pairs(VecI a) {
  return shift_right<2 * part>(a) & splat_i8(3);
}

struct Q2_K : QuantTraits<84, 256, 2, true, false, 0> {
  template <int k, typename Sink>
  static void group(const VecI* bytes, const VecI* scales, VecF d, VecF dmin, Sink& sink) {
    Columns<2> c;
    for (int j = 0; j < 8; ++j) c.codes[j] = bit_pairs<k % 4>(bytes[j]);
    const VecI pair = shift_right<16 * (k % 2)>(scales[k / 2]);
    c.scale[0] = d * to_float(pair & splat_i32(15));
    c.min[0] = dmin * to_float(shift_right<4>(pair) & splat_i32(15));
    c.scale[1] = d * to_float(shift_right<8>(pair) & splat_i32(15));
    c.min[1] = dmin * to_float(shift_right<12>(pair) & splat_i32(15));
    sink.put(k, c);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    VecI scales[4];
    load_column16(p, stride, scales);
    const VecI head = load_column4(p + 80, stride);
    const VecF d = low_half(head);
    const VecF dmin = high_half(head);
    VecI bytes[8];
    load_column16(p + 16, stride, bytes);
    load_column16(p + 32, stride, bytes + 4);
    group<0>(bytes, scales, d, dmin, sink);
    group<1>(bytes, scales, d, dmin, sink);
    group<2>(bytes, scales, d, dmin, sink);
    group<3>(bytes, scales, d, dmin, sink);
    load_column16(p + 48, stride, bytes);
    load_column16(p + 64, stride, bytes + 4);
    group<4>(bytes, scales, d, dmin, sink);
    group<5>(bytes, scales, d, dmin, sink);
    group<6>(bytes, scales, d, dmin, sink);
    group<7>(bytes, scales, d, dmin, sink);
  }
};

struct Q3_K : QuantTraits<110, 256, 2, false, false, 4> {
  template <int k, typename Sink>
  static void group(const VecI* bytes, const VecI* thirds, const VecI* scales, VecF d, Sink& sink) {
    Columns<2> c;
    for (int j = 0; j < 8; ++j) {
      const VecI third = k < 2                 ? shift_left < k < 2 ? 2 - k : 0 > (thirds[j])
                                         : shift_right < k < 2 ? 0
                                               : k - 2 > (thirds[j]);
      c.codes[j] = bit_pairs<k % 4>(bytes[j]) | (third & splat_i8(4));
    }
    constexpr int first = 2 * k % 4;
    c.scale[0] = d * signed_byte<first>(scales[k / 2]);
    c.scale[1] = d * signed_byte<first + 1>(scales[k / 2]);
    sink.put(k, c);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    VecI tail[4];  // bytes 92-107; the last twelve are the scales
    load_column16(p + 92, stride, tail);
    const VecF d = high_half(load_column4(p + 106, stride));
    const VecI two = splat_i8(3);
    const VecI minus32 = splat_i8(-32);
    const VecI scales[4] = {
        add_bytes(low_nibbles(tail[1]) | shift_left<4>(tail[3] & two), minus32),
        add_bytes(low_nibbles(tail[2]) | shift_left<4>(shift_right<2>(tail[3]) & two), minus32),
        add_bytes(high_nibbles(tail[1]) | shift_left<4>(shift_right<4>(tail[3]) & two), minus32),
        add_bytes(high_nibbles(tail[2]) | shift_left<4>(shift_right<6>(tail[3]) & two), minus32),
    };
    VecI thirds[8];
    load_column16(p, stride, thirds);
    load_column16(p + 16, stride, thirds + 4);
    VecI bytes[8];
    load_column16(p + 32, stride, bytes);
    load_column16(p + 48, stride, bytes + 4);
    group<0>(bytes, thirds, scales, d, sink);
    group<1>(bytes, thirds, scales, d, sink);
    group<2>(bytes, thirds, scales, d, sink);
    group<3>(bytes, thirds, scales, d, sink);
    load_column16(p + 64, stride, bytes);
    load_column16(p + 80, stride, bytes + 4);
    group<4>(bytes, thirds, scales, d, sink);
    group<5>(bytes, thirds, scales, d, sink);
    group<6>(bytes, thirds, scales, d, sink);
    group<7>(bytes, thirds, scales, d, sink);
  }
};

// The head that Q4_K and Q5_K share: d, dmin, and 6-bit scales and minima of eight groups.
struct KHead {
  VecF d, dmin;
  VecI scales[2], mins[2];  // four bytes each

  KHead(const std::uint8_t* p, std::int64_t stride) {
    VecI head[4];
    load_column16(p, stride, head);
    d = low_half(head[0]);
    dmin = high_half(head[0]);
    const VecI six = splat_i8(63);
    const VecI top = splat_i8(48);
    scales[0] = head[1] & six;
    mins[0] = head[2] & six;
    scales[1] = low_nibbles(head[3]) | (shift_right<2>(head[1]) & top);
    mins[1] = high_nibbles(head[3]) | (shift_right<2>(head[2]) & top);
  }
  template <int k, typename Columns>
  void set(Columns& c) const {
    c.scale[0] = d * unsigned_byte<k % 4>(scales[k / 4]);
    c.min[0] = dmin * unsigned_byte<k % 4>(mins[k / 4]);
  }
};

struct Q4_K : QuantTraits<144, 256, 1, true, false, 0> {
  template <int pair, typename Sink>
  static void groups(const std::uint8_t* p, std::int64_t stride, const KHead& head, Sink& sink) {
    VecI bytes[8];
    load_column16(p + 16 + 32 * pair, stride, bytes);
    load_column16(p + 32 + 32 * pair, stride, bytes + 4);
    Columns<1> c;
    for (int j = 0; j < 8; ++j) c.codes[j] = low_nibbles(bytes[j]);
    head.set<2 * pair>(c);
    sink.put(2 * pair, c);
    for (int j = 0; j < 8; ++j) c.codes[j] = high_nibbles(bytes[j]);
    head.set<2 * pair + 1>(c);
    sink.put(2 * pair + 1, c);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    const KHead head(p, stride);
    groups<0>(p, stride, head, sink);
    groups<1>(p, stride, head, sink);
    groups<2>(p, stride, head, sink);
    groups<3>(p, stride, head, sink);
  }
};

struct Q5_K : QuantTraits<176, 256, 1, true, false, 0> {
  // Bit k of every byte, moved to bit 4.
  template <int k>
  static VecI fifth(VecI a) {
    const VecI moved = k < 4 ? shift_left < k < 4 ? 4 - k : 0 > (a) : shift_right < k < 4 ? 0 : k - 4 > (a);
    return moved & splat_i8(16);
  }
  template <int pair, typename Sink>
  static void groups(const std::uint8_t* p, std::int64_t stride, const KHead& head, const VecI* fifths, Sink& sink) {
    VecI bytes[8];
    load_column16(p + 48 + 32 * pair, stride, bytes);
    load_column16(p + 64 + 32 * pair, stride, bytes + 4);
    Columns<1> c;
    for (int j = 0; j < 8; ++j) c.codes[j] = low_nibbles(bytes[j]) | fifth<2 * pair>(fifths[j]);
    head.set<2 * pair>(c);
    sink.put(2 * pair, c);
    for (int j = 0; j < 8; ++j) c.codes[j] = high_nibbles(bytes[j]) | fifth<2 * pair + 1>(fifths[j]);
    head.set<2 * pair + 1>(c);
    sink.put(2 * pair + 1, c);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    const KHead head(p, stride);
    VecI fifths[8];
    load_column16(p + 16, stride, fifths);
    load_column16(p + 32, stride, fifths + 4);
    groups<0>(p, stride, head, fifths, sink);
    groups<1>(p, stride, head, fifths, sink);
    groups<2>(p, stride, head, fifths, sink);
    groups<3>(p, stride, head, fifths, sink);
  }
};

struct Q6_K : QuantTraits<210, 256, 2, false, false, 32> {
  // Group k of eight; low: 32 bytes of nibbles, high: 32 bytes of bit pairs.
  template <int k, typename Sink>
  static void group(const VecI* low, const VecI* high, const VecI* scales, VecF d, Sink& sink) {
    constexpr int part = k % 4;
    Columns<2> c;
    for (int j = 0; j < 8; ++j) {
      const VecI nibbles = part < 2 ? low_nibbles(low[j]) : high_nibbles(low[j]);
      constexpr int left = part < 2 ? 4 - 2 * part : 0;
      constexpr int right = part < 2 ? 0 : 2 * part - 4;
      c.codes[j] = nibbles | (shift_right<right>(shift_left<left>(high[j])) & splat_i8(48));
    }
    constexpr int first = 2 * k % 4;
    c.scale[0] = d * signed_byte<first>(scales[k / 2]);
    c.scale[1] = d * signed_byte<first + 1>(scales[k / 2]);
    sink.put(k, c);
  }
  template <int half, typename Sink>
  static void groups(const std::uint8_t* p, std::int64_t stride, const VecI* scales, VecF d, Sink& sink) {
    VecI high[8];
    load_column16(p + 128 + 32 * half, stride, high);
    load_column16(p + 144 + 32 * half, stride, high + 4);
    VecI low[16];
    load_column16(p + 64 * half, stride, low);
    load_column16(p + 64 * half + 16, stride, low + 4);
    load_column16(p + 64 * half + 32, stride, low + 8);
    load_column16(p + 64 * half + 48, stride, low + 12);
    group<4 * half>(low, high, scales, d, sink);
    group<4 * half + 1>(low + 8, high, scales, d, sink);
    group<4 * half + 2>(low, high, scales, d, sink);
    group<4 * half + 3>(low + 8, high, scales, d, sink);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    VecI scales[4];
    load_column16(p + 192, stride, scales);
    const VecF d = high_half(load_column4(p + 206, stride));
    groups<0>(p, stride, scales, d, sink);
    groups<1>(p, stride, scales, d, sink);
  }
};

struct TQ2_0 : QuantTraits<66, 256, 1, false, false, 1> {
  template <int part, typename Sink>
  static void group(int k, const VecI* bytes, VecF d, Sink& sink) {
    Columns<1> c;
    for (int j = 0; j < 8; ++j) c.codes[j] = bit_pairs<part>(bytes[j]);
    c.scale[0] = d;
    sink.put(k, c);
  }
  template <typename Sink>
  static void decode(const std::uint8_t* p, std::int64_t stride, Sink& sink) {
    const VecF d = high_half(load_column4(p + 62, stride));
    for (int half = 0; half < 2; ++half) {
      VecI bytes[8];
      load_column16(p + 32 * half, stride, bytes);
      load_column16(p + 32 * half + 16, stride, bytes + 4);
      group<0>(4 * half, bytes, d, sink);
      group<1>(4 * half + 1, bytes, d, sink);
      group<2>(4 * half + 2, bytes, d, sink);
      group<3>(4 * half + 3, bytes, d, sink);
    }
  }
};
