// Products of quantised weights with activations quantised to int8.
//
// The lanes of a vector are n_lanes weight rows. A row's sum over 32 columns is an exact integer; scaled, it is added
// to the output's one accumulator, group of 32 columns after group in ascending order:
//   acc = fma(scale * (codes . act - offset * sum(act)) - min * sum(act), act_scale, acc)
// (two scales: the second half joins by fma). Matrix-vector and matrix-matrix differ only in where the codes wait
// (registers, or a panel in scratch) and in how offsets are taken out of the integers, so they give the same bits.
//
// Codes of activations have one part, int8, or two: whole numbers of 10 bits as 4 * high + low, whose sums are whole
// numbers too.

#include "kernels/quant_types.inl"

// A packed row of activations: its codes, for every 16 columns the high parts and then, if there are two, the low
// parts; then per group of 32 columns the scale, the sum of the codes, the sums of both halves (whole numbers as
// floats), and the three sums times -128 as integers. Padded to whole cache lines.
template <int n_parts>
struct PackedRow {
  const std::int8_t* codes;
  const float* scale;              // [n_groups]
  const float* sum;                // [n_groups]
  const float* half_sum;           // [n_groups][2]
  const std::int32_t* start;       // [n_groups]: -128 * sum
  const std::int32_t* half_start;  // [n_groups][2]

  PackedRow() = default;
  PackedRow(const std::byte* row, std::int64_t n_cols) {
    const std::int64_t n = n_cols / 32;
    codes = reinterpret_cast<const std::int8_t*>(row);
    scale = reinterpret_cast<const float*>(codes + n_parts * n_cols);
    sum = scale + n;
    half_sum = sum + n;
    start = reinterpret_cast<const std::int32_t*>(half_sum + 2 * n);
    half_start = start + n;
  }
  // What belongs to the columns from group g on.
  PackedRow from_group(std::int64_t g) const {
    PackedRow row = *this;
    row.codes += n_parts * 32 * g;
    row.scale += g;
    row.sum += g;
    row.half_sum += 2 * g;
    row.start += g;
    row.half_start += 2 * g;
    return row;
  }
  // Part `part` of the codes of columns 4 * word ... 4 * word + 3 of group g.
  const std::int8_t* word(std::int64_t g, int word, int part) const {
    return codes + n_parts * (32 * g + word / 4 * 16) + part * 16 + word % 4 * 4;
  }
};

template <int n_parts>
std::int64_t packed_row_bytes(std::int64_t n_cols) {
  return (n_cols / 32 * (n_parts * 32 + 28) + 63) / 64 * 64;
}

// -128 times a sum of at most 32 codes; 0 for the NaN that a NaN among the activations leaves.
inline std::int32_t start_of(float sum) {
  return static_cast<std::int32_t>(-128 * (sum >= -16384.0f && sum <= 16384.0f ? sum : 0.0f));
}

// Codes that the greatest magnitude of a group may get. Which of these scales rounds the group with the smallest
// squared error is a matter of chance, so trying four lowers the error by a fifteenth.
constexpr int n_act_trials = 4;
struct ActLevel {
  float level;
  float step;  // between codes, where the greatest magnitude is 1
};
constexpr ActLevel act_levels[n_act_trials] = {
    {127.0f, 1 / 127.0f}, {125.0f, 1 / 125.0f}, {123.0f, 1 / 123.0f}, {121.0f, 1 / 121.0f}};
constexpr ActLevel fine_act_level = {508.0f, 1 / 508.0f};

// The level with the smallest squared error of 32 values.
inline ActLevel best_act_level(const float* x, float inverse_top) {
  const VecF shift = splat(0x1.8p23f);  // adding it rounds numbers below 2^22
  VecF squares[n_act_trials];
  for (int t = 0; t < n_act_trials; ++t) {
    const VecF inverse = splat(act_levels[t].level * inverse_top);
    VecF sum = zero();
    for (int i = 0; i < 32; i += n_lanes) {
      const VecF value = load(x + i);
      const VecF code = madd(value, inverse, shift) - shift;
      const VecF rest = nmadd(value, inverse, code);
      sum = madd(rest, rest, sum);
    }
    squares[t] = sum;
  }
  float error[n_act_trials];
  reduce_add4(squares, error);
  ActLevel best = act_levels[0];
  float least = error[0] * (act_levels[0].step * act_levels[0].step);
  for (int t = 1; t < n_act_trials; ++t) {
    const float scaled = error[t] * (act_levels[t].step * act_levels[t].step);
    best.level = scaled < least ? act_levels[t].level : best.level;
    best.step = scaled < least ? act_levels[t].step : best.step;
    least = scaled < least ? scaled : least;
  }
  return best;
}

// Groups packed in one pass: the processor works on several at a time.
constexpr std::int64_t pack_pass = 8;

template <int n_parts>
void pack_act_i8(const float* x, std::int64_t n_cols, std::byte* out) {
  const std::int64_t n_groups = n_cols / 32;
  std::int8_t* codes = reinterpret_cast<std::int8_t*>(out);
  float* scale = reinterpret_cast<float*>(codes + n_parts * n_cols);
  float* sum = scale + n_groups;
  float* half_sum = sum + n_groups;
  std::int32_t* start = reinterpret_cast<std::int32_t*>(half_sum + 2 * n_groups);
  std::int32_t* half_start = start + n_groups;
  constexpr int n_vectors = 32 / n_lanes;
  constexpr float least = 0x1p-100f;  // smaller values count as zero, so that their inverse stays finite
  for (std::int64_t begin = 0; begin < n_groups; begin += pack_pass) {
    const std::int64_t end = begin + pack_pass < n_groups ? begin + pack_pass : n_groups;
    float top[pack_pass];  // of four groups at a time
    ActLevel level[pack_pass];
    float inverse[pack_pass];
    for (std::int64_t g = begin; g < end; g += 4) {
      VecF largest[4] = {zero(), zero(), zero(), zero()};
      for (std::int64_t i = g; i < g + 4 && i < end; ++i) {
        for (int v = 0; v < n_vectors; ++v) largest[i - g] = max(largest[i - g], abs(load(x + 32 * i + v * n_lanes)));
      }
      reduce_max4(largest, top + (g - begin));
    }
    for (std::int64_t g = begin; g < end; ++g) {
      const std::int64_t i = g - begin;
      const bool any = top[i] > least;
      const float inverse_top = any ? 1 / top[i] : 0.0f;
      level[i] = n_parts == 2 ? fine_act_level : act_levels[0];
      if (n_parts == 1 && any) level[i] = best_act_level(x + 32 * g, inverse_top);
      inverse[i] = level[i].level * inverse_top;
    }
    for (std::int64_t g = begin; g < end; ++g) {
      const std::int64_t i = g - begin;
      VecF sums[4] = {zero(), zero(), zero(), zero()};  // both halves' codes, values times codes, squares of codes
      for (int v = 0; v < n_vectors; ++v) {
        const VecF value = load(x + 32 * g + v * n_lanes) * splat(inverse[i]);
        const VecF code = round_nearest(value);
        sums[2 * v / n_vectors] = sums[2 * v / n_vectors] + code;
        sums[2] = madd(value, code, sums[2]);
        sums[3] = madd(code, code, sums[3]);
        const int column = v * n_lanes;
        std::int8_t* to = codes + n_parts * (32 * g + column / 16 * 16) + column % 16;
        if constexpr (n_parts == 1) {
          store_i8(to, code);
        } else {
          const VecF high = round_nearest(madd(code, splat(0.25f), splat(-0.125f)));  // low: -1 ... 2
          store_i8(to, high);
          store_i8(to + 16, nmadd(high, splat(4.0f), code));
        }
      }
      float total[4];
      reduce_add4(sums, total);
      // The scale that leaves these codes the smallest squared error.
      scale[g] = top[i] > least ? top[i] * level[i].step * (total[2] / total[3]) : 0;
      sum[g] = total[0] + total[1];
      half_sum[2 * g] = total[0];
      half_sum[2 * g + 1] = total[1];
    }
    for (std::int64_t g = begin; g < end; ++g) start[g] = start_of(sum[g]);
    for (std::int64_t i = 2 * begin; i < 2 * end; ++i) half_start[i] = start_of(half_sum[i]);
  }
}

// The integer sums of one group, offsets taken out, joined with scales, minima, and the activations' sums and scale.
template <typename Type>
VecF add_group(const VecF* dots, const VecF* scale, const VecF* min, const float* act_sum, float act_scale, VecF acc) {
  VecF value = dots[0] * scale[0];
  if constexpr (Type::n_scales == 2) value = madd(dots[1], scale[1], value);
  if constexpr (Type::has_min) {
    for (int s = 0; s < Type::n_scales; ++s) value = nmadd(min[s], splat(act_sum[s]), value);
  }
  return madd(value, splat(act_scale), acc);
}
template <typename Type, int n_parts>
VecF add_group(const VecF* dots, const VecF* scale, const VecF* min, const PackedRow<n_parts>& act, std::int64_t g,
               VecF acc) {
  const float* sum = Type::n_scales == 2 ? act.half_sum + 2 * g : act.sum + g;
  return add_group<Type>(dots, scale, min, sum, act.scale[g], acc);
}

template <typename Type, int n_parts>
VecF take_out_offset(VecF dots, int offset, const PackedRow<n_parts>& act, std::int64_t g, int half) {
  if (offset == 0) return dots;
  const float sum = Type::n_scales == 2 ? act.half_sum[2 * g + half] : act.sum[g];
  return nmadd(splat(static_cast<float>(offset)), splat(sum), dots);  // exact: whole numbers below 2^24
}

// Matrix-vector: the codes of a group go from the decoder's registers straight into the sum.
template <typename Type, int n_parts>
struct VectorSink {
  static constexpr bool takes_signed = false;
  PackedRow<n_parts> act;
  std::int64_t first_group = 0;
  VecF acc = zero();

  void put(int i, const Columns<Type::n_scales>& c) {
    const std::int64_t g = first_group + i;
    VecI half[2] = {zero_i(), zero_i()};
#pragma GCC unroll 2
    for (int part = 0; part < n_parts; ++part) {
      if (part == 1) half[0] = shift_left<2>(half[0]);
      if (part == 1) half[1] = shift_left<2>(half[1]);
      for (int j = 0; j < 4; ++j) {
        half[0] = dot<Type::wide>(half[0], c.codes[j], splat_codes(act.word(g, j, part)));
        half[1] = dot<Type::wide>(half[1], c.codes[j + 4], splat_codes(act.word(g, j + 4, part)));
      }
    }
    VecF dots[2];
    if constexpr (Type::n_scales == 2) {
      dots[0] = take_out_offset<Type>(to_float(half[0]), Type::offset, act, g, 0);
      dots[1] = take_out_offset<Type>(to_float(half[1]), Type::offset, act, g, 1);
    } else {
      dots[0] = take_out_offset<Type>(to_float(half[0] + half[1]), Type::offset, act, g, 0);
    }
    acc = add_group<Type>(dots, c.scale, c.min, act, g, acc);
  }
};

// Products of tiles with activations in two parts take several copies of the codes, of up to copied_columns columns.
#if defined(__AMX_INT8__)
constexpr int max_panel_copies = 4;
#else
constexpr int max_panel_copies = 1;
#endif
constexpr std::int64_t copied_columns = 512;

// Matrix-matrix: n_lanes rows decoded to a panel,
//   codes [n_groups][8][n_lanes] words, scale [n_groups][n_scales][n_lanes], min likewise.
// Where the dot product takes any unsigned byte, codes of types without minimum are moved to the offset 128, which the
// packed row's `start` takes out without a further instruction.
struct Panel {
  std::byte* codes;
  float* scale;
  float* min;

  // Room for n_copies of the codes.
  Panel(std::byte* scratch, std::int64_t n_cols, int n_copies = 1) {
    codes = scratch;
    scale = reinterpret_cast<float*>(scratch + n_copies * n_cols * n_lanes);
    min = scale + n_cols / 16 * n_lanes;
  }
  // Bytes of scratch for panels of up to n_cols columns with one copy, or up to copied_columns with several.
  static std::int64_t area(std::int64_t n_cols) {
    const std::int64_t one = n_cols * n_lanes + 2 * (n_cols / 16 * n_lanes) * static_cast<std::int64_t>(sizeof(float));
    return one + (max_panel_copies - 1) * copied_columns * n_lanes;
  }
};

template <typename Type>
constexpr int offset_in_panel = any_unsigned_codes && !Type::has_min ? 128 : Type::offset;

template <typename Type, int panel_offset>
struct PanelSink {
  static constexpr bool takes_signed = panel_offset == 0 && Type::gives_signed;
  Panel panel;
  std::int64_t first_group = 0;

  void put(int i, const Columns<Type::n_scales>& c) {
    const std::int64_t g = first_group + i;
    std::byte* codes = panel.codes + g * 32 * n_lanes;
    for (int j = 0; j < 8; ++j) {
      VecI word = c.codes[j];
      if constexpr (!takes_signed && panel_offset != Type::offset)
        word = add_bytes(word, splat_i8(panel_offset - Type::offset));
      store_i(codes + j * 4 * n_lanes, word);
    }
    for (int s = 0; s < Type::n_scales; ++s) {
      store(panel.scale + (g * Type::n_scales + s) * n_lanes, c.scale[s]);
      if constexpr (Type::has_min) store(panel.min + (g * Type::n_scales + s) * n_lanes, c.min[s]);
    }
  }
};

// What the panel products depend on besides the panel, so that types share them.
template <int n_scales_, bool has_min_, bool wide_, int offset_, int n_parts_>
struct PanelKind {
  static constexpr int n_scales = n_scales_;
  static constexpr bool has_min = has_min_;
  static constexpr bool wide = wide_;
  static constexpr int offset = offset_;
  static constexpr int n_parts = n_parts_;
};
template <typename Type, int n_parts>
using panel_kind =
    PanelKind<Type::n_scales, Type::has_min, Type::wide || any_unsigned_codes, offset_in_panel<Type>, n_parts>;

// One group of 32 columns for n_tokens activations.
template <typename Kind, int n_tokens>
void panel_group(const Panel& panel, std::int64_t g, const PackedRow<Kind::n_parts>* act, VecF* acc) {
  constexpr bool from_start = any_unsigned_codes && Kind::offset == 128;
  const std::byte* codes = panel.codes + g * 32 * n_lanes;
  VecF dots[n_tokens][2];
  for (int half = 0; half < Kind::n_scales; ++half) {
    constexpr int n_words = 8 / Kind::n_scales;
    VecI sum[n_tokens];
    const auto add_words = [&](int part) {
      for (int j = half * n_words; j < (half + 1) * n_words; ++j) {
        const VecI word = load_i(codes + j * 4 * n_lanes);
        for (int t = 0; t < n_tokens; ++t) sum[t] = dot<Kind::wide>(sum[t], word, splat_codes(act[t].word(g, j, part)));
      }
    };
    if constexpr (Kind::n_parts == 2) {
      for (int t = 0; t < n_tokens; ++t) sum[t] = zero_i();
      add_words(0);
    }
    for (int t = 0; t < n_tokens; ++t) {
      const std::int32_t start = Kind::n_scales == 2 ? act[t].half_start[2 * g + half] : act[t].start[g];
      const VecI begin = from_start ? splat_i32(start) : zero_i();
      sum[t] = Kind::n_parts == 2 ? shift_left<2>(sum[t]) + begin : begin;
    }
    add_words(Kind::n_parts - 1);
    for (int t = 0; t < n_tokens; ++t) {
      dots[t][half] = to_float(sum[t]);
      if constexpr (!from_start) dots[t][half] = take_out_offset<Kind>(dots[t][half], Kind::offset, act[t], g, half);
    }
  }
  VecF scale[2];
  VecF min[2];
  for (int s = 0; s < Kind::n_scales; ++s) {
    scale[s] = load(panel.scale + (g * Kind::n_scales + s) * n_lanes);
    if constexpr (Kind::has_min) min[s] = load(panel.min + (g * Kind::n_scales + s) * n_lanes);
  }
  for (int t = 0; t < n_tokens; ++t) acc[t] = add_group<Kind>(dots[t], scale, min, act[t], g, acc[t]);
}

// Lane l of a group is row first_row + l * spacing. Of neighbours (spacing 1) only those in [row_begin, row_end) are
// written.
struct RowGroup {
  std::int64_t first_row, row_begin, row_end, spacing;

  bool all_rows() const { return row_begin <= first_row && first_row + (n_lanes - 1) * spacing < row_end; }

  void write(float* out, VecF values) const {
    float* to = out + first_row;
    if (!all_rows()) {
      const std::int64_t before = row_begin > first_row ? row_begin - first_row : 0;
      float part[n_lanes];
      store(part, values);
      for (std::int64_t lane = before; lane < n_lanes && first_row + lane < row_end; ++lane) to[lane] = part[lane];
    } else if (spacing == 1) {
      store(to, values);
    } else {
      float part[n_lanes];
      store(part, values);
#pragma GCC unroll 16
      for (int lane = 0; lane < n_lanes; ++lane, to += spacing) *to = part[lane];
    }
  }
  // What was written, of neighbouring rows; 0 in the lanes of other rows.
  VecF read(const float* out) const {
    if (all_rows()) return load(out + first_row);
    const std::int64_t before = row_begin > first_row ? row_begin - first_row : 0;
    float part[n_lanes] = {};
    for (std::int64_t lane = before; lane < n_lanes && first_row + lane < row_end; ++lane) {
      part[lane] = out[first_row + lane];
    }
    return load(part);
  }
};

template <int n_parts>
const std::byte* packed_act(const MatmulTask& task, std::int64_t token) {
  const std::int64_t row = task.act_rows != nullptr ? task.act_rows[token] : token;
  return task.act + row * packed_row_bytes<n_parts>(task.n_cols);
}

template <typename Kind, int n_tokens>
void panel_tile(const MatmulTask& task, const Panel& panel, const RowGroup& rows, std::int64_t token) {
  PackedRow<Kind::n_parts> act[n_tokens];
  VecF acc[n_tokens];
  for (int t = 0; t < n_tokens; ++t) {
    act[t] = PackedRow<Kind::n_parts>(packed_act<Kind::n_parts>(task, token + t), task.n_cols);
    acc[t] = zero();
  }
  for (std::int64_t g = 0; g < task.n_cols / 32; ++g) panel_group<Kind, n_tokens>(panel, g, act, acc);
  for (int t = 0; t < n_tokens; ++t) rows.write(out_row(task, token + t), acc[t]);
}

constexpr int panel_tile_tokens = n_lanes == 16 ? 8 : 4;

template <typename Kind>
void panel_tokens(const MatmulTask& task, const Panel& panel, const RowGroup& rows, std::int64_t token,
                  std::int64_t token_end) {
  for (; token + panel_tile_tokens <= token_end; token += panel_tile_tokens) {
    panel_tile<Kind, panel_tile_tokens>(task, panel, rows, token);
  }
  if (panel_tile_tokens > 4 && token + 4 <= token_end) {
    panel_tile<Kind, 4>(task, panel, rows, token);
    token += 4;
  }
  if (token + 2 <= token_end) {
    panel_tile<Kind, 2>(task, panel, rows, token);
    token += 2;
  }
  if (token < token_end) panel_tile<Kind, 1>(task, panel, rows, token);
}

// Fetches what is needed soon: the bytes `ahead` of [begin, end) of a group whose lanes begin row_stride bytes apart.
inline void fetch_ahead(const std::uint8_t* weight, std::int64_t row_stride, std::int64_t begin, std::int64_t end,
                        std::int64_t ahead) {
  for (std::int64_t line = begin / 64; line < end / 64; ++line) {
    __builtin_prefetch(weight + line % n_lanes * row_stride + line / n_lanes * 64 + ahead, 0, 2);
  }
}

// Passes the groups of a block on and fetches the memory that is needed soon of a part of the rows with each, so that
// memory is asked for all the time.
template <typename Type, typename Sink>
struct FetchingSink {
  static constexpr bool takes_signed = Sink::takes_signed;
  Sink& sink;
  const std::uint8_t* memory;  // what to fetch of row 0, as much as a block; null: nothing
  std::int64_t row_stride;

  void put(int i, const Columns<Type::n_scales>& c) {
    if (memory != nullptr) {
      for (int row = i * n_lanes / Type::n_groups; row < (i + 1) * n_lanes / Type::n_groups; ++row) {
#pragma GCC unroll 8
        for (int byte = 0; byte < Type::block_bytes; byte += 64) {
          __builtin_prefetch(memory + row * row_stride + byte, 0, 2);
        }
      }
    }
    sink.put(i, c);
  }
};

// Walks the blocks of n_lanes rows. Memory `ahead` bytes further on in every lane is fetched meanwhile; 0: none.
template <typename Type, typename Sink>
void decode_rows(const std::uint8_t* weight, std::int64_t row_stride, std::int64_t n_blocks, std::int64_t ahead,
                 Sink& sink) {
  constexpr std::int64_t step = static_cast<std::int64_t>(Type::block_bytes) * n_lanes;
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    const std::uint8_t* block = weight + b * Type::block_bytes;
    sink.first_group = b * Type::n_groups;
    if constexpr (Type::n_groups == 1) {
      if (ahead != 0) fetch_ahead(weight, row_stride, b * step, (b + 1) * step, ahead);
      Type::decode(block, row_stride, sink);
    } else {
      FetchingSink<Type, Sink> fetching{sink, ahead != 0 ? block + ahead : nullptr, row_stride};
      Type::decode(block, row_stride, fetching);
    }
  }
}

// Tokens whose packed rows stay in the second-level cache beside the panel.
template <int n_parts>
std::int64_t tokens_at_once(std::int64_t n_cols) {
  const std::int64_t tokens = 768 * 1024 / (packed_row_bytes<n_parts>(n_cols) + 1) / 16 * 16;
  return tokens < 32 ? 32 : tokens;
}

template <typename Type, int n_parts>
void int8_rows(const MatmulTask& task, const std::uint8_t* weight, std::int64_t row_stride, const RowGroup& rows,
               std::int64_t ahead, std::int64_t token, std::int64_t token_end) {
  const std::int64_t n_blocks = task.n_cols / (32 * Type::n_groups);
  if (token_end - token == 1) {
    VectorSink<Type, n_parts> sink;
    sink.act = PackedRow<n_parts>(packed_act<n_parts>(task, token), task.n_cols);
    decode_rows<Type>(weight, row_stride, n_blocks, ahead, sink);
    rows.write(out_row(task, token), sink.acc);
    return;
  }
  PanelSink<Type, offset_in_panel<Type>> sink{Panel(task.scratch, task.n_cols)};
  decode_rows<Type>(weight, row_stride, n_blocks, ahead, sink);
  panel_tokens<panel_kind<Type, n_parts>>(task, sink.panel, rows, token, token_end);
}

// With few tokens the products wait for memory, and n_lanes long streams come faster than rows of a few hundred bytes
// side by side: the task's rows are cut into n_lanes runs, each lane walks one. With many tokens there is time to
// fetch the next rows while these are multiplied.
constexpr std::int64_t max_stream_tokens = 16;
constexpr std::int64_t stream_ahead_bytes = 512;

// Calls use(rows, weight) for every n_lanes neighbouring rows of the task, from `row` on.
template <typename Use>
void for_neighbours(const MatmulTask& task, std::int64_t row_bytes, std::int64_t row, Use use) {
  const std::uint8_t* weight = reinterpret_cast<const std::uint8_t*>(task.weight);
  for (; row < task.row_end; row += n_lanes) {
    const std::int64_t end = row + n_lanes < task.row_end ? row + n_lanes : task.row_end;
    RowGroup rows{row, row, end, 1};
    const std::uint8_t* first = weight + row * row_bytes;
    if (end - row < n_lanes && end >= n_lanes) {  // fewer rows than lanes: begin earlier and write only what is asked
      rows.first_row = end - n_lanes;
      first = weight + rows.first_row * row_bytes;
    } else if (end - row < n_lanes) {  // the whole matrix has fewer rows: copy them to full height
      std::uint8_t* copy = reinterpret_cast<std::uint8_t*>(task.scratch) + Panel::area(task.n_cols);
      for (std::int64_t r = 0; r < n_lanes; ++r) {
        const std::int64_t source = row + r < end ? row + r : end - 1;
        __builtin_memcpy(copy + r * row_bytes, weight + source * row_bytes, static_cast<std::size_t>(row_bytes));
      }
      first = copy;
    }
    use(rows, first);
  }
}

// Calls use(rows, weight, row_stride, ahead) for every n_lanes rows of the task.
template <typename Use>
void for_row_groups(const MatmulTask& task, std::int64_t row_bytes, Use use) {
  const std::uint8_t* weight = reinterpret_cast<const std::uint8_t*>(task.weight);
  std::int64_t run = task.n_tokens <= max_stream_tokens ? (task.row_end - task.row_begin) / n_lanes : 0;
  // Streams at multiples of 4 KB from each other would share the few places of one set of the first-level cache.
  if (run > 16 && run * row_bytes % 4096 < 64 && row_bytes % 4096 != 0) --run;
  std::int64_t row = task.row_begin;
  if (run > 1) {
    for (std::int64_t i = 0; i < run; ++i) {
      const RowGroup rows{row + i, row, row + run * n_lanes, run};
      use(rows, weight + (row + i) * row_bytes, run * row_bytes, stream_ahead_bytes);
    }
    row += run * n_lanes;
  }
  for_neighbours(task, row_bytes, row, [&](const RowGroup& rows, const std::uint8_t* first) {
    const std::int64_t next = rows.row_end + n_lanes;
    use(rows, first, row_bytes, next <= task.row_end ? n_lanes * row_bytes : 0);
  });
}

#if defined(__AMX_INT8__)
#include "kernels/matmul_int8_tiles.inl"
#endif

template <typename Type, int n_parts>
void matmul_int8(const MatmulTask& task) {
#if defined(__AMX_INT8__)
  if (task.n_tokens >= min_tile_tokens) return matmul_int8_tiles<Type, n_parts>(task);
#endif
  const std::int64_t row_bytes = task.n_cols / (32 * Type::n_groups) * Type::block_bytes;
  const std::int64_t chunk = tokens_at_once<n_parts>(task.n_cols);
  for (std::int64_t token = 0; token < task.n_tokens; token += chunk) {
    const std::int64_t token_end = token + chunk < task.n_tokens ? token + chunk : task.n_tokens;
    for_row_groups(task, row_bytes,
                   [&](const RowGroup& rows, const std::uint8_t* first, std::int64_t row_stride, std::int64_t ahead) {
                     int8_rows<Type, n_parts>(task, first, row_stride, rows, ahead, token, token_end);
                   });
  }
}

inline std::int64_t int8_scratch_bytes(std::int64_t n_cols, std::int64_t row_bytes) {
#if defined(__AMX_INT8__)
  return int8_tiles_scratch_bytes(n_cols, row_bytes);
#else
  return Panel::area(n_cols) + n_lanes * row_bytes;
#endif
}
