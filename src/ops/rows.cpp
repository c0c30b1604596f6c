#include "ops/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/low_rank.h"

namespace llm::ops {
namespace {

// Calls f(i) for this worker's rows, then meets the others.
template <typename F>
void each_row(const Context& c, std::int64_t n_rows, F f) {
  const Worker::Part part = c.worker.part(n_rows);
  for (std::int64_t i = part.begin; i < part.end; ++i) f(i);
  c.worker.sync();
}

// Calls f(i, begin, count) for this worker's part of all elements: columns [begin, begin + count) of row i.
template <typename F>
void each_element(const Context& c, Rows x, F f) {
  // Parts begin at whole cache lines of a row, so that workers do not share lines.
  constexpr std::int64_t line = 16;
  const std::int64_t lines = (x.n_cols + line - 1) / line;
  const Worker::Part part = c.worker.part(x.n_rows * lines);
  for (std::int64_t at = part.begin; at < part.end;) {
    const std::int64_t i = at / lines;
    const std::int64_t end = std::min((i + 1) * lines, part.end);
    const std::int64_t begin = at % lines * line;
    f(i, begin, std::min((end - i * lines) * line, x.n_cols) - begin);
    at = end;
  }
  c.worker.sync();
}

}  // namespace

void embed(const Context& c, const WeightMatrix& table, std::span<const std::int32_t> ids, float scale, bool add,
           Rows out) {
  c.enter(Operation::embedding);
  float* scratch = reinterpret_cast<float*>(c.worker.scratch.data());
  each_row(c, static_cast<std::int64_t>(ids.size()), [&](std::int64_t i) {
    float* to = add ? scratch : out.row(i);
    const std::int32_t id = ids[static_cast<std::size_t>(i)];
    c.k.decode_row(table.type, table.row(id), to, table.n_in);
    if (table.low_rank != nullptr) add_low_rank_row(c, table, id, to);
    if (add) {
      c.k.rows.add(to, scale, table.n_in, out.row(i));
    } else if (scale != 1) {
      c.k.rows.scale(to, scale, table.n_in, to);
    }
  });
}

void add_positions(const Context& c, const WeightMatrix& table, Sequences sequences, std::int64_t offset, Rows out) {
  c.enter(Operation::positions);
  float* scratch = reinterpret_cast<float*>(c.worker.scratch.data());
  for (const SequenceRows& s : sequences) {
    const Worker::Part part = c.worker.part(s.n_rows);
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      c.k.decode_row(table.type, table.row(s.position + i + offset), scratch, table.n_in);
      c.k.rows.add(scratch, 1, table.n_in, out.row(s.row_begin + i));
    }
  }
  c.worker.sync();
}

void gather_rows(const Context& c, Rows x, std::span<const std::int32_t> rows, Rows out) {
  c.enter(Operation::rows);
  each_row(c, static_cast<std::int64_t>(rows.size()), [&](std::int64_t i) {
    std::memcpy(out.row(i), x.row(rows[static_cast<std::size_t>(i)]),
                static_cast<std::size_t>(x.n_cols) * sizeof(float));
  });
}

void norm(const Context& c, Rows x, const Norm& norm, Rows out) {
  c.enter(Operation::norm);
  each_row(c, x.n_rows, [&](std::int64_t i) {
    c.k.rows.norm(norm.kind, x.row(i), x.n_cols, norm.weight, norm.bias, norm.eps, out.row(i));
  });
}

void add_norm(const Context& c, Rows y, const Norm& norm, float factor, Rows x) {
  c.enter(Operation::norm);
  float* scratch = reinterpret_cast<float*>(c.worker.scratch.data());
  each_row(c, x.n_rows, [&](std::int64_t i) {
    c.k.rows.norm(norm.kind, y.row(i), y.n_cols, norm.weight, norm.bias, norm.eps, scratch);
    c.k.rows.add(scratch, factor, x.n_cols, x.row(i));
  });
}

void grouped_norm(const Context& c, Rows x, const Norm& norm, int n_groups, Rows gate, bool gate_after, Rows out) {
  c.enter(Operation::norm);
  const std::int64_t n = x.n_cols / n_groups;
  float* scratch = reinterpret_cast<float*>(c.worker.scratch.data());
  each_row(c, x.n_rows * n_groups, [&](std::int64_t item) {
    const std::int64_t begin = item % n_groups * n;
    const float* from = x.row(item / n_groups) + begin;
    float* to = out.row(item / n_groups) + begin;
    const float* g = gate.data != nullptr ? gate.row(item / n_groups) + begin : nullptr;
    if (g != nullptr) c.k.rows.activate(Activation::silu, g, n, scratch);
    if (g != nullptr && !gate_after) {
      c.k.rows.multiply(from, scratch, n, to);
      from = to;
    }
    c.k.rows.norm(norm.kind, from, n, norm.weight != nullptr ? norm.weight + begin : nullptr,
                  norm.bias != nullptr ? norm.bias + begin : nullptr, norm.eps, to);
    if (g != nullptr && gate_after) c.k.rows.multiply(to, scratch, n, to);
  });
}

void scale(const Context& c, Rows x, float factor) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.scale(x.row(i) + begin, factor, n, x.row(i) + begin);
  });
}

void scale_columns(const Context& c, Rows x, const float* factor) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.multiply(x.row(i) + begin, factor + begin, n, x.row(i) + begin);
  });
}

void add(const Context& c, Rows y, float factor, Rows x) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.add(y.row(i) + begin, factor, n, x.row(i) + begin);
  });
}

void multiply(const Context& c, Rows y, Rows x) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.multiply(x.row(i) + begin, y.row(i) + begin, n, x.row(i) + begin);
  });
}

void add_sigmoid_gated(const Context& c, Rows y, Rows gate, Rows x) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.add(y.row(i) + begin, c.k.scans.sigmoid(gate.row(i)[0]), n, x.row(i) + begin);
  });
}

void activation(const Context& c, Rows x, Activation act) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.activate(act, x.row(i) + begin, n, x.row(i) + begin);
  });
}

void gated(const Context& c, Rows gate, Rows up, const Gated& spec, Rows out) {
  c.enter(Operation::rows);
  each_element(c, out, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.gated(spec, gate.row(i) + begin, up.row(i) + begin, n, out.row(i) + begin);
  });
}

void clamp(const Context& c, Rows x, float low, float high) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.clamp(x.row(i) + begin, low, high, n, x.row(i) + begin);
  });
}

void softcap(const Context& c, Rows x, float cap) {
  c.enter(Operation::rows);
  each_element(c, x, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    c.k.rows.softcap(x.row(i) + begin, cap, n, x.row(i) + begin);
  });
}

void copy(const Context& c, Rows x, Rows out) {
  c.enter(Operation::rows);
  each_element(c, out, [&](std::int64_t i, std::int64_t begin, std::int64_t n) {
    std::memcpy(out.row(i) + begin, x.row(i) + begin, static_cast<std::size_t>(n) * sizeof(float));
  });
}

void l2_normalize(const Context& c, Rows x, int n_groups, float eps, float factor) {
  c.enter(Operation::rows);
  const std::int64_t n = x.n_cols / n_groups;
  each_row(c, x.n_rows * n_groups, [&](std::int64_t item) {
    float* row = x.row(item / n_groups) + item % n_groups * n;
    c.k.rows.scale(row, factor / std::sqrt(c.k.rows.sum_squares(row, n) + eps), n, row);
  });
}

void token_shift(const Context& c, Rows x, const float* mix, Sequences sequences, std::size_t state_offset, bool store,
                 Rows out) {
  c.enter(Operation::rows);
  const Worker::Part part = c.worker.part(x.n_cols);
  const std::int64_t n = part.end - part.begin;
  for (const SequenceRows& s : sequences) {
    float* state = reinterpret_cast<float*>(s.record + state_offset) + part.begin;
    for (std::int64_t t = 0; t < s.n_rows && n > 0; ++t) {
      const float* previous = t == 0 ? state : x.row(s.row_begin + t - 1) + part.begin;
      c.k.rows.mix(x.row(s.row_begin + t) + part.begin, previous, mix + part.begin, n,
                   out.row(s.row_begin + t) + part.begin);
    }
    if (store && n > 0 && s.n_rows > 0) {
      std::memcpy(state, x.row(s.row_begin + s.n_rows - 1) + part.begin, static_cast<std::size_t>(n) * sizeof(float));
    }
  }
  c.worker.sync();
}

}  // namespace llm::ops
