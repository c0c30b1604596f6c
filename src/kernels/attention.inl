// Attention of a tile of queries over one span of keys, and how the results of spans join. See attention_kernels.h for
// the layout of keys and values.
//
// One order for every query, whatever the tile: a score sums over the entries of the key in ascending order, a lane a
// key; the total and the output sum over the keys of the span in ascending order within steps of 32 keys.

inline const std::byte* as_bytes(const float* p) {
  return reinterpret_cast<const std::byte*>(p);
}

// Where the keys and values of a step of 32 lie.
inline std::byte* block_of(const AttentionTask& task, std::int64_t key) {
  return task.blocks[key / task.block_tokens];
}

// Memory that is needed soon. It is fetched a little with every entry of keys and every value that is worked on: a core
// waits for room if it asks for much at once.
struct ReadAhead {
  const std::byte* at;
  std::int64_t step;  // bytes with every entry or value
};

// Products of n_queries queries with 2 n_lanes keys from `offset` on in a step that begins at `groups`.
template <typename Keys, int n_queries>
inline void score_tile(const std::byte* groups, std::int64_t offset, std::int64_t dim, const float* const* q,
                       float* const* scores, ReadAhead keys_ahead, ReadAhead values_ahead) {
  const std::int64_t first = offset;
  const std::int64_t second = offset + n_lanes;
  const std::byte* group0 = groups + first / 16 * Keys::group_bytes(dim);
  const std::byte* group1 = groups + second / 16 * Keys::group_bytes(dim);
  VecF sum[n_queries][2];
  for (int i = 0; i < n_queries; ++i) sum[i][0] = sum[i][1] = zero();
  for (std::int64_t begin = 0; begin < dim; begin += 32) {
    const VecF scale0 = Keys::scale(group0, begin, first % 16);
    const VecF scale1 = Keys::scale(group1, begin, second % 16);
    const std::int64_t end = dim - begin < 32 ? dim : begin + 32;
    for (std::int64_t d = begin; d < end; ++d) {
      if constexpr (!is_panel<Keys>) {
        __builtin_prefetch(keys_ahead.at, 0, 2);
        __builtin_prefetch(values_ahead.at, 0, 2);
        keys_ahead.at += keys_ahead.step;
        values_ahead.at += values_ahead.step;
      }
      const VecF k0 = Keys::at(group0, d, first % 16, scale0);
      const VecF k1 = Keys::at(group1, d, second % 16, scale1);
      for (int i = 0; i < n_queries; ++i) {
        const VecF x = splat(q[i][d]);
        sum[i][0] = madd(x, k0, sum[i][0]);
        sum[i][1] = madd(x, k1, sum[i][1]);
      }
    }
  }
  for (int i = 0; i < n_queries; ++i) {
    store(scores[i] + first, sum[i][0]);
    store(scores[i] + second, sum[i][1]);
  }
}

// Queries of a register tile: 2 sums each, 32 registers with AVX-512 and 16 below.
constexpr int score_queries = n_lanes == 16 ? 8 : 5;

// Calls f(first, count) over n items in tiles of nearly equal size up to `most`.
template <typename F>
inline void even_tiles(std::int64_t n, std::int64_t most, F f) {
  const std::int64_t n_tiles = (n + most - 1) / most;
  for (std::int64_t i = 0; i < n_tiles; ++i) {
    const std::int64_t first = n * i / n_tiles;
    f(first, n * (i + 1) / n_tiles - first);
  }
}

// Queries and the rows of their scores, 32 keys of the step at `groups`.
template <typename Keys>
void score_step(const std::byte* groups, std::int64_t dim, std::int64_t n, const float* const* q, float* const* scores,
                const ReadAhead& keys_ahead, const ReadAhead& values_ahead) {
  const ReadAhead nothing{groups, 0};
  even_tiles(n, score_queries, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t offset = 0; offset < key_step; offset += 2 * n_lanes) {
      const bool is_first = first == 0 && offset == 0;
      const ReadAhead k = is_first ? keys_ahead : nothing;
      const ReadAhead v = is_first ? values_ahead : nothing;
      const float* const* tile_q = q + first;
      float* const* tile_s = scores + first;
      switch (count) {
        case 1:
          score_tile<Keys, 1>(groups, offset, dim, tile_q, tile_s, k, v);
          break;
        case 2:
          score_tile<Keys, 2>(groups, offset, dim, tile_q, tile_s, k, v);
          break;
        case 3:
          score_tile<Keys, 3>(groups, offset, dim, tile_q, tile_s, k, v);
          break;
        case 4:
          score_tile<Keys, 4>(groups, offset, dim, tile_q, tile_s, k, v);
          break;
        case 5:
          score_tile<Keys, 5>(groups, offset, dim, tile_q, tile_s, k, v);
          break;
        default:
          if constexpr (score_queries > 5) {
            if (count == 6) score_tile<Keys, 6>(groups, offset, dim, tile_q, tile_s, k, v);
            if (count == 7) score_tile<Keys, 7>(groups, offset, dim, tile_q, tile_s, k, v);
            if (count == 8) score_tile<Keys, 8>(groups, offset, dim, tile_q, tile_s, k, v);
          }
          break;
      }
    }
  });
}

// Keys that lie by row, as floats in groups.
template <typename Values>
void group_keys(const std::byte* rows, std::int64_t dim, float* groups) {
  alignas(64) float part[n_lanes];
  for (std::int64_t key = 0; key < key_step; ++key) {
    const std::byte* row = rows + key * Values::row_bytes(dim);
    float* column = groups + key / 16 * dim * 16 + key % 16;
    for (std::int64_t d = 0; d < dim; d += n_lanes) {
      const std::int64_t rest = dim - d < n_lanes ? dim - d : n_lanes;
      store(part, rest == n_lanes ? Values::at(row, d) : Values::part(row, d, rest));
      for (std::int64_t i = 0; i < rest; ++i) column[(d + i) * 16] = part[i];
    }
  }
}

// A step's keys as floats in groups.
template <typename Keys>
void unpack_keys(const std::byte* groups, std::int64_t dim, float* panel) {
  for (std::int64_t key = 0; key < key_step; key += n_lanes) {
    const std::byte* group = groups + key / 16 * Keys::group_bytes(dim);
    float* to = panel + key / 16 * dim * 16 + key % 16;
    for (std::int64_t begin = 0; begin < dim; begin += 32) {
      const VecF scale = Keys::scale(group, begin, key % 16);
      const std::int64_t end = dim - begin < 32 ? dim : begin + 32;
      for (std::int64_t d = begin; d < end; ++d) store(to + d * 16, Keys::at(group, d, key % 16, scale));
    }
  }
}

// Rows of values as rows of padded_value_dim floats.
template <typename Values>
void unpack_values(const std::byte* rows, std::int64_t row_bytes, std::int64_t dim, std::int64_t n_rows, float* panel) {
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::byte* row = rows + r * row_bytes;
    float* to = panel + r * padded_value_dim(dim);
    std::int64_t d = 0;
    for (; d + n_lanes <= dim; d += n_lanes) store(to + d, Values::at(row, d));
    if (d < dim) store(to + d, Values::part(row, d, dim - d));
  }
}

constexpr int value_queries = n_lanes == 16 ? 6 : 3;
constexpr int value_vectors = n_lanes == 16 ? 4 : 3;

// out[i] += sum over keys [0, n_keys) of weight[i][key] * value[key], entries [at, at + n_vectors * n_lanes).
template <typename Values, int n_queries, int n_vectors, bool partial>
inline void value_tile(const std::byte* rows, std::int64_t row_bytes, std::int64_t n_keys, std::int64_t at,
                       std::int64_t rest, const float* const* weights, float* const* out, ReadAhead ahead) {
  VecF sum[n_queries][n_vectors];
  for (int i = 0; i < n_queries; ++i) {
    for (int j = 0; j < n_vectors; ++j) sum[i][j] = zero();
  }
  for (std::int64_t key = 0; key < n_keys; ++key) {
    const std::byte* row = rows + key * row_bytes;
    if constexpr (!is_panel<Values>) {
      for (std::int64_t i = 0; i < ahead.step; i += 64) __builtin_prefetch(ahead.at + i, 0, 2);
      ahead.at += ahead.step;
    }
    VecF v[n_vectors];
    for (int j = 0; j < n_vectors; ++j) {
      v[j] = partial ? Values::part(row, at, rest) : Values::at(row, at + j * n_lanes);
    }
    for (int i = 0; i < n_queries; ++i) {
      const VecF w = splat(weights[i][key]);
      for (int j = 0; j < n_vectors; ++j) sum[i][j] = madd(w, v[j], sum[i][j]);
    }
  }
  for (int i = 0; i < n_queries; ++i) {
    for (int j = 0; j < n_vectors; ++j) {
      float* to = out[i] + at + j * n_lanes;
      store(to, load(to) + sum[i][j]);
    }
  }
}

template <typename Values, int n_queries>
void value_columns(const std::byte* rows, std::int64_t row_bytes, std::int64_t dim, std::int64_t n_keys,
                   const float* const* weights, float* const* out, const ReadAhead& ahead) {
  constexpr std::int64_t tile_dim = value_vectors * n_lanes;
  // Every tile of columns fetches its part.
  const std::int64_t n_tiles = dim < tile_dim ? 1 : dim / tile_dim;
  ReadAhead now{ahead.at, (ahead.step + 64 * n_tiles - 1) / (64 * n_tiles) * 64};
  if (ahead.step == 0) now.step = 0;
  std::int64_t at = 0;
  for (; at + tile_dim <= dim; at += tile_dim) {
    value_tile<Values, n_queries, value_vectors, false>(rows, row_bytes, n_keys, at, 0, weights, out, now);
    now.at += n_keys * now.step;
  }
  if (dim >= tile_dim) now.step = 0;
  for (; at + n_lanes <= dim; at += n_lanes) {
    value_tile<Values, n_queries, 1, false>(rows, row_bytes, n_keys, at, 0, weights, out, now);
    now.step = 0;
  }
  if (at < dim) value_tile<Values, n_queries, 1, true>(rows, row_bytes, n_keys, at, dim - at, weights, out, now);
}

// n_keys <= 32 keys for n queries.
template <typename Values>
void value_step(const std::byte* rows, std::int64_t row_bytes, std::int64_t dim, std::int64_t n_keys, std::int64_t n,
                const float* const* weights, float* const* out, const ReadAhead& keys_ahead) {
  even_tiles(n, value_queries, [&](std::int64_t first, std::int64_t count) {
    const float* const* w = weights + first;
    float* const* o = out + first;
    const ReadAhead ahead{keys_ahead.at, first == 0 ? keys_ahead.step : 0};
    switch (count) {
      case 1:
        return value_columns<Values, 1>(rows, row_bytes, dim, n_keys, w, o, ahead);
      case 2:
        return value_columns<Values, 2>(rows, row_bytes, dim, n_keys, w, o, ahead);
      case 3:
        return value_columns<Values, 3>(rows, row_bytes, dim, n_keys, w, o, ahead);
      default:
        if constexpr (value_queries > 3) {
          if (count == 4) return value_columns<Values, 4>(rows, row_bytes, dim, n_keys, w, o, ahead);
          if (count == 5) return value_columns<Values, 5>(rows, row_bytes, dim, n_keys, w, o, ahead);
          if (count == 6) return value_columns<Values, 6>(rows, row_bytes, dim, n_keys, w, o, ahead);
        }
        return;
    }
  });
}

alignas(64) constexpr float lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Raw products of one query -> scores; those of keys outside [begin, end) become -infinity. Returns the highest.
template <bool masked>
inline VecF finish_scores(const ScoreRule& rule, std::int64_t head, std::int64_t distance, KeyRange seen,
                          KeyRange steps, float* scores) {
  const VecF minus_infinity = splat(-__builtin_inff());
  const VecF lanes = load(lane_numbers);
  const VecF first = splat(static_cast<float>(seen.begin));
  const VecF last = splat(static_cast<float>(seen.end - 1));
  const VecF factor = splat(rule.scale);
  const VecF cap = splat(rule.softcap);
  const VecF slope = splat(rule.slopes != nullptr ? rule.slopes[head] : 0);
  VecF highest = minus_infinity;
  for (std::int64_t i = steps.begin; i < steps.end; i += n_lanes) {
    VecF s = load(scores + i) * factor;
    if (rule.softcap != 0) s = cap * tanh(s / cap);
    const VecF key = splat(static_cast<float>(i)) + lanes;
    if (rule.slopes != nullptr) s = s + slope * (splat(static_cast<float>(distance)) + key);
    if (rule.bias != nullptr) {
      alignas(64) float bias[n_lanes];
      for (int lane = 0; lane < n_lanes; ++lane) {
        std::int64_t place = distance + i + lane - rule.bias_min;
        place = place < 0 ? 0 : place >= rule.bias_width ? rule.bias_width - 1 : place;
        bias[lane] = rule.bias[head * rule.bias_width + place];
      }
      s = s + load(bias);
    }
    if constexpr (masked) {
      s = select_less(key, first, minus_infinity, s);
      s = select_less(last, key, minus_infinity, s);
    }
    store(scores + i, s);
    highest = max(highest, s);
  }
  return highest;
}

// Raw products of one query -> weights e^(score - best) of the keys [seen.begin, seen.end) of the span, 0 for the
// others of the steps they lie in.
inline void softmax_span(const ScoreRule& rule, std::int64_t head, std::int64_t distance, KeyRange seen, float* scores,
                         float& best, float& total) {
  const KeyRange steps = {seen.begin / key_step * key_step, (seen.end + key_step - 1) / key_step * key_step};
  const bool masked = steps.begin != seen.begin || steps.end != seen.end;
  best = reduce_max(masked ? finish_scores<true>(rule, head, distance, seen, steps, scores)
                           : finish_scores<false>(rule, head, distance, seen, steps, scores));
  const VecF m = splat(best);
  VecF sum = zero();
  for (std::int64_t i = steps.begin; i < steps.end; i += n_lanes) {
    const VecF w = exp(load(scores + i) - m);
    store(scores + i, w);
    sum = sum + w;
  }
  total = reduce_add(sum);
}

// Queries of a tile at most; wider tiles are cut by the caller.
constexpr std::int64_t max_tile_queries = 64;

std::int64_t attention_scratch_floats(std::int64_t n_queries, std::int64_t key_dim, std::int64_t value_dim) {
  return n_queries * attention_span + (key_dim + padded_value_dim(value_dim)) * key_step;
}

template <typename Keys, typename KeyRows, typename Values>
void attend_span(const AttentionTask& task) {
  const std::int64_t n = task.n_rows * task.n_heads;
  const std::int64_t span_begin = task.span * attention_span;
  const std::int64_t out_stride = padded_value_dim(task.value_dim);
  float* scores = task.scratch;
  // Keys and values that several tiles of queries read are unpacked once.
  float* key_panel = task.scratch + n * attention_span;
  float* value_panel = key_panel + task.key_dim * key_step;
  const bool keys_unpack = !Keys::is_plain && n > score_queries;
  const bool values_unpack = !Values::is_plain && n > value_queries;

  // Keys of the span that each row sees, and that any does; relative to the span.
  KeyRange seen[max_tile_queries];
  KeyRange any = {attention_span, 0};
  for (std::int64_t r = 0; r < task.n_rows; ++r) {
    const KeyRange keys = visible_keys(task.rule, task.position + r);
    std::int64_t begin = keys.begin - span_begin;
    std::int64_t end = keys.end - span_begin;
    begin = begin < 0 ? 0 : begin;
    end = end > attention_span ? attention_span : end;
    if (end <= begin) begin = end = 0;
    seen[r] = {begin, end};
    if (end > begin) {
      any.begin = begin < any.begin ? begin : any.begin;
      any.end = end > any.end ? end : any.end;
    }
  }

  const float* q[max_tile_queries];
  const float* step_weights[max_tile_queries];
  float* step_scores[max_tile_queries];
  float* out[max_tile_queries];
  for (std::int64_t r = 0; r < task.n_rows; ++r) {
    for (std::int64_t h = 0; h < task.n_heads; ++h) {
      const std::int64_t i = r * task.n_heads + h;
      q[i] = task.q + r * task.q_row_stride + h * task.q_head_stride;
      out[i] = task.out + i * out_stride;
      for (std::int64_t d = 0; d < out_stride; ++d) out[i][d] = 0;
    }
  }

  const std::int64_t row_bytes = Values::row_bytes(task.keys_by_row ? task.key_dim : task.value_dim);
  const std::int64_t any_first = any.begin / key_step * key_step;
  const std::int64_t last_key = visible_keys(task.rule, task.position + task.n_rows - 1).end;
  const ReadAhead nothing{as_bytes(task.scratch), 0};
  for (std::int64_t at = any_first; at < any.end; at += key_step) {
    const std::int64_t key = span_begin + at;
    const std::byte* head = block_of(task, key) + task.key_offset;
    const std::int64_t in_block = key % task.block_tokens;
    for (std::int64_t i = 0; i < n; ++i) step_scores[i] = scores + i * attention_span + at;
    if (task.keys_by_row) {
      group_keys<KeyRows>(head + in_block * KeyRows::row_bytes(task.key_dim), task.key_dim, key_panel);
      score_step<KeysPanel>(as_bytes(key_panel), task.key_dim, n, q, step_scores, nothing, nothing);
      continue;
    }
    const std::int64_t key_bytes = Keys::group_bytes(task.key_dim) / 16;
    if (keys_unpack) {
      unpack_keys<Keys>(head + in_block * key_bytes, task.key_dim, key_panel);
      score_step<KeysPanel>(as_bytes(key_panel), task.key_dim, n, q, step_scores, nothing, nothing);
    } else {
      const std::int64_t next = at + key_step < any.end ? key + key_step : key;
      const ReadAhead keys_ahead{block_of(task, next) + task.key_offset + next % task.block_tokens * key_bytes,
                                 key_step * key_bytes / task.key_dim};
      const ReadAhead values_ahead{block_of(task, key) + task.value_offset + in_block * row_bytes,
                                   key_step * row_bytes / task.key_dim};
      score_step<Keys>(head + in_block * key_bytes, task.key_dim, n, q, step_scores, keys_ahead, values_ahead);
    }
  }

  for (std::int64_t r = 0; r < task.n_rows; ++r) {
    const std::int64_t distance = span_begin - (task.position + r);
    for (std::int64_t h = 0; h < task.n_heads; ++h) {
      const std::int64_t i = r * task.n_heads + h;
      task.best[i] = -__builtin_inff();
      task.total[i] = 0;
      if (seen[r].end > seen[r].begin) {
        softmax_span(task.rule, h, distance, seen[r], scores + i * attention_span, task.best[i], task.total[i]);
      }
    }
  }

  // A row's values are read only where it sees the key: others may not be written yet.
  for (std::int64_t at = any_first; at < any.end; at += key_step) {
    const std::int64_t key = span_begin + at;
    const std::byte* rows = block_of(task, key) + task.value_offset + key % task.block_tokens * row_bytes;
    // The keys at the same place of the span that comes next.
    const std::int64_t key_ahead = task.next_span * attention_span + at;
    ReadAhead keys_ahead = nothing;
    if (task.next_span > task.span && key_ahead < last_key && !task.keys_by_row) {
      const std::int64_t key_bytes = Keys::group_bytes(task.key_dim) / 16;
      keys_ahead = {block_of(task, key_ahead) + task.key_offset + key_ahead % task.block_tokens * key_bytes, key_bytes};
    }
    if (values_unpack) {
      const std::int64_t begin = any.begin > at ? any.begin - at : 0;
      const std::int64_t end = any.end - at < key_step ? any.end - at : key_step;
      unpack_values<Values>(rows + begin * row_bytes, row_bytes, task.value_dim, end - begin,
                            value_panel + begin * out_stride);
    }
    for (std::int64_t r = 0; r < task.n_rows;) {
      // Rows that see the same keys of this step go together.
      const auto clip = [&](std::int64_t row) {
        const std::int64_t begin = seen[row].begin > at ? seen[row].begin - at : 0;
        const std::int64_t end = seen[row].end - at < key_step ? seen[row].end - at : key_step;
        return end > begin ? KeyRange{begin, end} : KeyRange{0, 0};
      };
      const KeyRange keys = clip(r);
      std::int64_t r_end = r + 1;
      while (r_end < task.n_rows) {
        const KeyRange next = clip(r_end);
        if (next.begin != keys.begin || next.end != keys.end) break;
        ++r_end;
      }
      const std::int64_t first = r * task.n_heads;
      const std::int64_t count = (r_end - r) * task.n_heads;
      r = r_end;
      if (keys.end == 0) continue;
      for (std::int64_t i = 0; i < count; ++i) {
        step_weights[i] = scores + (first + i) * attention_span + at + keys.begin;
      }
      if (values_unpack) {
        value_step<ValuesPanel>(as_bytes(value_panel + keys.begin * out_stride), out_stride * 4, task.value_dim,
                                keys.end - keys.begin, count, step_weights, out + first, nothing);
      } else {
        value_step<Values>(rows + keys.begin * row_bytes, row_bytes, task.value_dim, keys.end - keys.begin, count,
                           step_weights, out + first, keys_ahead);
        keys_ahead = nothing;
      }
    }
  }
}

template <typename Keys, typename KeyRows>
void attend_values(const AttentionTask& task) {
  switch (task.value_type) {
    case TensorType::F16:
      return attend_span<Keys, KeyRows, ValuesF16>(task);
    case TensorType::BF16:
      return attend_span<Keys, KeyRows, ValuesBF16>(task);
    case TensorType::Q8_0:
      return attend_span<Keys, KeyRows, ValuesQ8>(task);
    case TensorType::Q4_0:
      return attend_span<Keys, KeyRows, ValuesQ4>(task);
    default:
      return attend_span<Keys, KeyRows, ValuesF32>(task);
  }
}

void attention_span_kernel(const AttentionTask& task) {
  switch (task.key_type) {
    case TensorType::F16:
      return attend_values<KeysF16, ValuesF16>(task);
    case TensorType::BF16:
      return attend_values<KeysBF16, ValuesBF16>(task);
    case TensorType::Q8_0:
      return attend_values<KeysQ8, ValuesQ8>(task);
    case TensorType::Q4_0:
      return attend_values<KeysQ4, ValuesQ4>(task);
    default:
      return attend_values<KeysF32, ValuesF32>(task);
  }
}

inline float exp_of(float x) {
  return first_lane(exp(splat(x)));
}

void attention_join(std::int64_t n_queries, std::int64_t value_dim, const float* out, const float* best,
                    const float* total, float* joined_out, float* joined_best, float* joined_total) {
  const std::int64_t stride = padded_value_dim(value_dim);
  for (std::int64_t i = 0; i < n_queries; ++i) {
    if (total[i] == 0) continue;  // no key of the span is seen
    const float highest = best[i] > joined_best[i] ? best[i] : joined_best[i];
    const float keep = joined_total[i] == 0 ? 0 : exp_of(joined_best[i] - highest);
    const float take = exp_of(best[i] - highest);
    joined_best[i] = highest;
    joined_total[i] = joined_total[i] * keep + total[i] * take;
    const VecF k = splat(keep);
    const VecF t = splat(take);
    float* to = joined_out + i * stride;
    const float* from = out + i * stride;
    for (std::int64_t d = 0; d < stride; d += n_lanes) store(to + d, load(to + d) * k + load(from + d) * t);
  }
}

void attention_finish(const float* out, float best, float total, std::int64_t value_dim, const float* sink,
                      float* result) {
  float factor = 1;
  if (sink != nullptr) {
    const float highest = *sink > best ? *sink : best;
    factor = total == 0 ? 0 : exp_of(best - highest);
    total = total * factor + exp_of(*sink - highest);
  }
  const VecF f = splat(total == 0 ? 0 : factor / total);
  map_row(out, value_dim, result, [=](VecF a) { return a * f; });
}
