#include "ops/scan.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace llm::ops {
namespace {

float* state_of(const SequenceRows& sequence, std::size_t state_offset) {
  return reinterpret_cast<float*>(sequence.record + state_offset);
}

// Calls f(sequence, first channel, number of channels) for this worker's part of the channels of every sequence, in
// whole cache lines, then meets the others.
template <typename F>
void each_channels(const Context& c, Sequences sequences, std::int64_t n_channels, F f) {
  constexpr std::int64_t line = 16;
  const std::int64_t lines = (n_channels + line - 1) / line;
  const Worker::Part part = c.worker.part(static_cast<std::int64_t>(sequences.size()) * lines);
  for (std::int64_t at = part.begin; at < part.end;) {
    const std::int64_t s = at / lines;
    const std::int64_t end = std::min((s + 1) * lines, part.end);
    const std::int64_t first = (at - s * lines) * line;
    f(sequences[static_cast<std::size_t>(s)], first, std::min((end - s * lines) * line, n_channels) - first);
    at = end;
  }
  c.worker.sync();
}

// Calls f(sequence, head) for this worker's heads, then meets the others.
template <typename F>
void each_head(const Context& c, Sequences sequences, int n_heads, F f) {
  const Worker::Part part = c.worker.part(static_cast<std::int64_t>(sequences.size()) * n_heads);
  for (std::int64_t at = part.begin; at < part.end; ++at) {
    f(sequences[static_cast<std::size_t>(at / n_heads)], at % n_heads);
  }
  c.worker.sync();
}

constexpr int max_conv_width = 16;

}  // namespace

void causal_conv(const Context& c, Rows x, const CausalConv& conv, Sequences sequences, std::size_t state_offset,
                 Rows out) {
  c.enter(Operation::scan);
  const std::int64_t n_past = conv.width - 1;
  each_channels(c, sequences, x.n_cols, [&](const SequenceRows& s, std::int64_t first, std::int64_t n) {
    float* state = state_of(s, state_offset) + first;
    // Row t of the sequence in this step; before 0 the state, whose last row is the newest.
    const auto row = [&](std::int64_t t) {
      return t >= 0 ? x.row(s.row_begin + t) + first : state + (n_past + t) * x.n_cols;
    };
    for (std::int64_t t = 0; t < s.n_rows; ++t) {
      std::array<const float*, max_conv_width> rows;
      for (std::int64_t i = 0; i < conv.width; ++i) rows[static_cast<std::size_t>(i)] = row(t - n_past + i);
      c.k.scans.conv(rows.data(), conv.width, conv.weight + first * conv.width,
                     conv.bias != nullptr ? conv.bias + first : nullptr, conv.activation, n,
                     out.row(s.row_begin + t) + first);
    }
    // Oldest first: what is read comes after what is written.
    for (std::int64_t i = 0; i < n_past; ++i) {
      std::memmove(state + i * x.n_cols, row(s.n_rows - n_past + i), static_cast<std::size_t>(n) * sizeof(float));
    }
  });
}

void selective_scan(const Context& c, const SelectiveScan& scan, Sequences sequences, std::size_t state_offset) {
  c.enter(Operation::scan);
  const std::int64_t n_state = scan.b.n_cols;
  each_channels(c, sequences, scan.u.n_cols, [&](const SequenceRows& s, std::int64_t first, std::int64_t n) {
    const auto from = [&](const float* p) { return p != nullptr ? p + first : nullptr; };
    float* h = state_of(s, state_offset) + first * n_state;
    for (std::int64_t t = s.row_begin; t < s.row_begin + s.n_rows; ++t) {
      c.k.scans.selective(n, n_state, scan.u.row(t) + first, scan.dt.row(t) + first, from(scan.dt_bias),
                          scan.a + first * n_state, scan.b.row(t), scan.c.row(t), from(scan.d),
                          scan.z.data != nullptr ? scan.z.row(t) + first : nullptr, h, scan.out.row(t) + first);
    }
  });
}

void head_scan(const Context& c, const HeadScan& scan, Sequences sequences, std::size_t state_offset) {
  c.enter(Operation::scan);
  const std::int64_t per_group = scan.n_heads / scan.n_groups;
  each_head(c, sequences, scan.n_heads, [&](const SequenceRows& s, std::int64_t head) {
    float* h = state_of(s, state_offset) + head * scan.head_dim * scan.n_state;
    const std::int64_t group_at = head / per_group * scan.n_state;
    for (std::int64_t t = s.row_begin; t < s.row_begin + s.n_rows; ++t) {
      float dt = scan.dt.row(t)[head] + (scan.dt_bias != nullptr ? scan.dt_bias[head] : 0);
      dt = std::clamp(c.k.scans.softplus(dt), scan.dt_min, scan.dt_max);
      c.k.scans.head(scan.head_dim, scan.n_state, c.k.scans.exp(dt * scan.a[head]), dt,
                     scan.d != nullptr ? scan.d[head] : 0, scan.x.row(t) + head * scan.head_dim,
                     scan.b.row(t) + group_at, scan.c.row(t) + group_at, h, scan.out.row(t) + head * scan.head_dim);
    }
  });
}

void gated_delta(const Context& c, const GatedDelta& delta, Sequences sequences, std::size_t state_offset) {
  c.enter(Operation::scan);
  const std::int64_t per_key = delta.n_value_heads / delta.n_key_heads;
  float* scratch = reinterpret_cast<float*>(c.worker.scratch.data());
  each_head(c, sequences, delta.n_value_heads, [&](const SequenceRows& s, std::int64_t head) {
    float* state = state_of(s, state_offset) + head * delta.key_dim * delta.value_dim;
    const std::int64_t key_at = head / per_key * delta.key_dim;
    const std::int64_t value_at = head * delta.value_dim;
    for (std::int64_t t = s.row_begin; t < s.row_begin + s.n_rows; ++t) {
      const float g = delta.a[head] * c.k.scans.softplus(delta.alpha.row(t)[head] + delta.dt_bias[head]);
      c.k.scans.delta(delta.key_dim, delta.value_dim, c.k.scans.exp(g), c.k.scans.sigmoid(delta.b.row(t)[head]),
                      delta.q.row(t) + key_at, delta.k.row(t) + key_at, delta.v.row(t) + value_at, state, scratch,
                      delta.out.row(t) + value_at);
    }
  });
}

void wkv(const Context& c, const Wkv& wkv, Sequences sequences, std::size_t state_offset) {
  c.enter(Operation::scan);
  const std::int64_t n_channels = wkv.k.n_cols;
  each_channels(c, sequences, n_channels, [&](const SequenceRows& s, std::int64_t first, std::int64_t n) {
    float* num = state_of(s, state_offset) + first;
    for (std::int64_t t = s.row_begin; t < s.row_begin + s.n_rows; ++t) {
      c.k.scans.wkv(n, wkv.r.row(t) + first, wkv.k.row(t) + first, wkv.v.row(t) + first, wkv.first + first,
                    wkv.decay + first, num, num + n_channels, num + 2 * n_channels, wkv.out.row(t) + first);
    }
  });
}

void linear_recurrent_unit(const Context& c, const LinearRecurrentUnit& unit, Sequences sequences,
                           std::size_t state_offset) {
  c.enter(Operation::scan);
  each_channels(c, sequences, unit.x.n_cols, [&](const SequenceRows& s, std::int64_t first, std::int64_t n) {
    float* h = state_of(s, state_offset) + first;
    for (std::int64_t t = 0; t < s.n_rows; ++t) {
      const std::int64_t row = s.row_begin + t;
      c.k.scans.lru(n, s.position + t == 0, unit.x.row(row) + first, unit.input_gate.row(row) + first,
                    unit.recurrent_gate.row(row) + first, unit.lambda + first, h, unit.out.row(row) + first);
    }
  });
}

}  // namespace llm::ops
