#include "ops/scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>

#include <gtest/gtest.h>

#include "ops/rows.h"
#include "region.h"

namespace llm::ops {
namespace {

using kernels::KernelTable;

constexpr std::size_t state_offset = 64;

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

// Two sequences of n_rows rows each, evaluated in steps of `chunk` rows of both; the rows of a step lie together:
// first those of sequence 0, then those of sequence 1. Inputs and outputs of all rows are kept by sequence.
struct Recurrence {
  std::int64_t n_rows;
  std::size_t state_floats;

  using Step = std::function<void(const Context& c, Sequences sequences, const std::vector<Rows>& in, Rows out)>;

  std::vector<float> operator()(const KernelTable& k, int n_threads, std::int64_t chunk,
                                const std::vector<const OwnedRows*>& inputs, std::int64_t n_out,
                                const Step& step) const {
    std::vector<std::vector<std::byte>> records(2, std::vector<std::byte>(state_offset + state_floats * sizeof(float)));
    std::vector<float> result(static_cast<std::size_t>(2 * n_rows * n_out));
    Team team(n_threads, test_scratch_bytes);
    for (std::int64_t at = 0; at < n_rows; at += chunk) {
      const std::int64_t n = std::min(chunk, n_rows - at);
      std::vector<std::unique_ptr<OwnedRows>> owned;
      std::vector<Rows> in;
      for (const OwnedRows* input : inputs) {
        owned.push_back(std::make_unique<OwnedRows>(2 * n, input->rows.n_cols));
        for (int s = 0; s < 2; ++s) {
          std::memcpy(owned.back()->rows.row(s * n), input->rows.row(s * n_rows + at),
                      static_cast<std::size_t>(n * input->rows.n_cols) * sizeof(float));
        }
        in.push_back(owned.back()->rows);
      }
      OwnedRows out(2 * n, n_out);
      std::vector<SequenceRows> sequences;
      for (int s = 0; s < 2; ++s) {
        sequences.push_back(
            {.row_begin = s * n, .n_rows = n, .position = at, .record = records[static_cast<std::size_t>(s)].data()});
      }
      team.run([&](const Worker& worker) { step(Context{worker, k}, sequences, in, out.rows); });
      for (int s = 0; s < 2; ++s) {
        std::memcpy(&result[static_cast<std::size_t>((s * n_rows + at) * n_out)], out.rows.row(s * n),
                    static_cast<std::size_t>(n * n_out) * sizeof(float));
      }
    }
    return result;
  }

  void expect(const std::vector<double>& expected, double tolerance, const std::vector<const OwnedRows*>& inputs,
              std::int64_t n_out, const Step& step) const {
    for (const KernelTable* k : kernels::available_kernels()) {
      std::vector<float> first;
      for (const int n_threads : {1, 2, 4}) {
        for (const std::int64_t chunk : {n_rows, std::int64_t{1}, std::int64_t{2}, std::int64_t{5}}) {
          const std::vector<float> found = (*this)(*k, n_threads, chunk, inputs, n_out, step);
          ASSERT_EQ(found.size(), expected.size());
          if (first.empty()) {
            first = found;
            for (std::size_t i = 0; i < found.size(); ++i) {
              ASSERT_NEAR(found[i], expected[i], tolerance * (1 + std::abs(expected[i])))
                  << k->name << ", element " << i;
            }
          }
          ASSERT_EQ(0, std::memcmp(found.data(), first.data(), found.size() * sizeof(float)))
              << k->name << ", " << n_threads << " threads, chunks of " << chunk;
        }
      }
    }
  }
};

TEST(CausalConv, SeesTheLastRowsOfItsOwnSequence) {
  constexpr std::int64_t n_rows = 11;
  for (const std::int64_t n : {1, 16, 37}) {
    for (const int width : {1, 2, 4}) {
      const OwnedRows x(2 * n_rows, n, 1);
      const std::vector<float> w = random_floats(static_cast<std::size_t>(n * width), 2),
                               b = random_floats(static_cast<std::size_t>(n), 3);
      std::vector<double> expected;
      for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
        for (std::int64_t ch = 0; ch < n; ++ch) {
          double sum = b[static_cast<std::size_t>(ch)];
          for (std::int64_t i = 0; i < width; ++i) {
            const std::int64_t t = row % n_rows - width + 1 + i;
            if (t >= 0)
              sum += static_cast<double>(w[static_cast<std::size_t>(ch * width + i)]) *
                     x.at(row / n_rows * n_rows + t, ch);
          }
          expected.push_back(sum * sigmoid(sum));
        }
      }
      Recurrence{n_rows, static_cast<std::size_t>(n * width)}.expect(
          expected, 2e-6, {&x}, n, [&](const Context& c, Sequences s, const std::vector<Rows>& in, Rows out) {
            causal_conv(c, in[0], {w.data(), b.data(), width, Activation::silu}, s, state_offset, out);
          });
    }
  }
}

TEST(TokenShift, MixesWithThePreviousRow) {
  constexpr std::int64_t n_rows = 7, n = 37;
  const OwnedRows x(2 * n_rows, n, 1);
  const std::vector<float> mix = random_floats(n, 2);
  std::vector<double> expected;
  for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
    for (std::int64_t i = 0; i < n; ++i) {
      const double m = mix[static_cast<std::size_t>(i)];
      expected.push_back(m * x.at(row, i) + (row % n_rows > 0 ? (1 - m) * x.at(row - 1, i) : 0));
    }
  }
  Recurrence{n_rows, n}.expect(expected, 1e-6, {&x}, n,
                               [&](const Context& c, Sequences s, const std::vector<Rows>& in, Rows out) {
                                 token_shift(c, in[0], mix.data(), s, state_offset, true, out);
                               });
}

TEST(SelectiveScan, FollowsMambasRecurrence) {
  constexpr std::int64_t n_rows = 9;
  for (const auto& [n, n_state] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {37, 8}, {20, 16}, {70, 20}}) {
    const OwnedRows u(2 * n_rows, n, 1), dt(2 * n_rows, n, 2), b(2 * n_rows, n_state, 3), cc(2 * n_rows, n_state, 4),
        z(2 * n_rows, n, 5);
    std::vector<float> a = random_floats(static_cast<std::size_t>(n * n_state), 6);
    for (float& v : a) v = -std::exp(v);
    const std::vector<float> d = random_floats(static_cast<std::size_t>(n), 7),
                             bias = random_floats(static_cast<std::size_t>(n), 8);
    std::vector<double> expected, h;
    for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
      if (row % n_rows == 0) h.assign(static_cast<std::size_t>(n * n_state), 0);
      for (std::int64_t ch = 0; ch < n; ++ch) {
        const std::size_t at = static_cast<std::size_t>(ch);
        const double step = softplus(static_cast<double>(dt.at(row, ch)) + bias[at]);
        double y = static_cast<double>(d[at]) * u.at(row, ch);
        for (std::int64_t i = 0; i < n_state; ++i) {
          const std::size_t place = static_cast<std::size_t>(ch * n_state + i);
          h[place] = std::exp(step * a[place]) * h[place] + step * b.at(row, i) * u.at(row, ch);
          y += h[place] * cc.at(row, i);
        }
        const double gate = z.at(row, ch);
        expected.push_back(y * gate * sigmoid(gate));
      }
    }
    Recurrence{n_rows, static_cast<std::size_t>(n * n_state)}.expect(
        expected, 5e-6, {&u, &dt, &b, &cc, &z}, n,
        [&](const Context& c, Sequences s, const std::vector<Rows>& in, Rows out) {
          selective_scan(c,
                         {.u = in[0],
                          .dt = in[1],
                          .b = in[2],
                          .c = in[3],
                          .z = in[4],
                          .a = a.data(),
                          .d = d.data(),
                          .dt_bias = bias.data(),
                          .out = out},
                         s, state_offset);
        });
  }
}

TEST(HeadScan, FollowsMamba2sRecurrenceWithGroups) {
  constexpr std::int64_t n_rows = 8;
  constexpr int n_heads = 6, head_dim = 5, n_groups = 2;
  for (const int n_state : {4, 16, 37}) {
    const OwnedRows x(2 * n_rows, n_heads * head_dim, 1), dt(2 * n_rows, n_heads, 2),
        b(2 * n_rows, n_groups * n_state, 3), cc(2 * n_rows, n_groups * n_state, 4);
    std::vector<float> a = random_floats(n_heads, 6);
    for (float& v : a) v = -std::exp(v);
    const std::vector<float> d = random_floats(n_heads, 7), bias = random_floats(n_heads, 8);
    std::vector<double> expected, h;
    for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
      if (row % n_rows == 0) h.assign(static_cast<std::size_t>(n_heads * head_dim * n_state), 0);
      for (int head = 0; head < n_heads; ++head) {
        const std::size_t at = static_cast<std::size_t>(head);
        const double step = std::clamp(softplus(static_cast<double>(dt.at(row, head)) + bias[at]), 0.3, 2.0);
        for (int i = 0; i < head_dim; ++i) {
          const double value = x.at(row, head * head_dim + i);
          double y = d[at] * value;
          for (int j = 0; j < n_state; ++j) {
            const std::int64_t group_at = head / (n_heads / n_groups) * n_state + j;
            double& state = h[static_cast<std::size_t>((head * head_dim + i) * n_state + j)];
            state = std::exp(step * a[at]) * state + step * value * b.at(row, group_at);
            y += state * cc.at(row, group_at);
          }
          expected.push_back(y);
        }
      }
    }
    Recurrence{n_rows, static_cast<std::size_t>(n_heads * head_dim * n_state)}.expect(
        expected, 5e-6, {&x, &dt, &b, &cc}, n_heads * head_dim,
        [&](const Context& c, Sequences s, const std::vector<Rows>& in, Rows out) {
          head_scan(c,
                    {.n_heads = n_heads,
                     .head_dim = head_dim,
                     .n_groups = n_groups,
                     .n_state = n_state,
                     .x = in[0],
                     .dt = in[1],
                     .b = in[2],
                     .c = in[3],
                     .a = a.data(),
                     .d = d.data(),
                     .dt_bias = bias.data(),
                     .dt_min = 0.3f,
                     .dt_max = 2,
                     .out = out},
                    s, state_offset);
        });
  }
}

TEST(GatedDelta, FollowsTheDeltaRule) {
  constexpr std::int64_t n_rows = 8;
  constexpr int n_key = 2, n_value = 4;
  for (const auto& [dk, dv] : {std::pair{4, 3}, {8, 8}, {20, 37}}) {
    const OwnedRows q(2 * n_rows, n_key * dk, 1, 0.3f), k(2 * n_rows, n_key * dk, 2, 0.3f),
        v(2 * n_rows, n_value * dv, 3), alpha(2 * n_rows, n_value, 4), b(2 * n_rows, n_value, 5);
    std::vector<float> a = random_floats(n_value, 6);
    for (float& x : a) x = -std::exp(x);
    const std::vector<float> bias = random_floats(n_value, 7);
    std::vector<double> expected, s;
    for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
      if (row % n_rows == 0) s.assign(static_cast<std::size_t>(n_value * dk * dv), 0);
      for (int head = 0; head < n_value; ++head) {
        const std::size_t at = static_cast<std::size_t>(head);
        const double decay = std::exp(a[at] * softplus(static_cast<double>(alpha.at(row, head)) + bias[at]));
        const double beta = sigmoid(b.at(row, head));
        const int key_at = head / (n_value / n_key) * dk;
        double* state = &s[static_cast<std::size_t>(head * dk * dv)];
        std::vector<double> change(static_cast<std::size_t>(dv));
        for (int j = 0; j < dv; ++j) {
          double known = 0;
          for (int i = 0; i < dk; ++i) known += (state[i * dv + j] *= decay) * k.at(row, key_at + i);
          change[static_cast<std::size_t>(j)] = beta * (v.at(row, head * dv + j) - known);
        }
        for (int j = 0; j < dv; ++j) {
          double y = 0;
          for (int i = 0; i < dk; ++i) {
            state[i * dv + j] += k.at(row, key_at + i) * change[static_cast<std::size_t>(j)];
            y += state[i * dv + j] * q.at(row, key_at + i);
          }
          expected.push_back(y);
        }
      }
    }
    Recurrence{n_rows, static_cast<std::size_t>(n_value * dk * dv)}.expect(
        expected, 5e-6, {&q, &k, &v, &alpha, &b}, n_value * dv,
        [&, dk = dk, dv = dv](const Context& c, Sequences sequences, const std::vector<Rows>& in, Rows out) {
          gated_delta(c,
                      {.n_key_heads = n_key,
                       .n_value_heads = n_value,
                       .key_dim = dk,
                       .value_dim = dv,
                       .q = in[0],
                       .k = in[1],
                       .v = in[2],
                       .alpha = in[3],
                       .b = in[4],
                       .a = a.data(),
                       .dt_bias = bias.data(),
                       .out = out},
                      sequences, state_offset);
        });
  }
}

TEST(Wkv, FollowsRwkv4AlsoWhereExponentialsOverflow) {
  constexpr std::int64_t n_rows = 12, n = 37;
  for (const float spread : {1.0f, 60.0f}) {
    const OwnedRows r(2 * n_rows, n, 1), k(2 * n_rows, n, 2, spread), v(2 * n_rows, n, 3);
    const std::vector<float> first = random_floats(n, 4);
    std::vector<float> decay = random_floats(n, 5);
    for (float& x : decay) x = -std::exp(x);
    std::vector<double> expected;
    std::vector<long double> num, den;
    for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
      if (row % n_rows == 0) {
        num.assign(n, 0);
        den.assign(n, 0);
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const std::size_t at = static_cast<std::size_t>(i);
        const long double now = std::exp(static_cast<long double>(first[at]) + k.at(row, i));
        expected.push_back(sigmoid(r.at(row, i)) *
                           static_cast<double>((num[at] + now * v.at(row, i)) / (den[at] + now)));
        const long double w = std::exp(static_cast<long double>(decay[at]));
        const long double e = std::exp(static_cast<long double>(k.at(row, i)));
        num[at] = w * num[at] + e * v.at(row, i);
        den[at] = w * den[at] + e;
      }
    }
    // Exponents of size 100 are rounded by 2^-18.
    Recurrence{n_rows, 3 * n}.expect(expected, spread > 1 ? 3e-5 : 3e-6, {&r, &k, &v}, n,
                                     [&](const Context& c, Sequences s, const std::vector<Rows>& in, Rows out) {
                                       wkv(c, {in[0], in[1], in[2], first.data(), decay.data(), out}, s, state_offset);
                                     });
  }
}

TEST(LinearRecurrentUnit, FollowsRgLru) {
  constexpr std::int64_t n_rows = 9, n = 37;
  const OwnedRows x(2 * n_rows, n, 1), in_gate(2 * n_rows, n, 2), rec_gate(2 * n_rows, n, 3, 4);
  const std::vector<float> lambda = random_floats(n, 4, 3);
  std::vector<double> expected, h;
  for (std::int64_t row = 0; row < 2 * n_rows; ++row) {
    if (row % n_rows == 0) h.assign(n, 0);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::size_t at = static_cast<std::size_t>(i);
      const double log_a = -8 * sigmoid(rec_gate.at(row, i)) * softplus(lambda[at]);
      const double m = row % n_rows == 0 ? 1 : std::sqrt(-std::expm1(2 * log_a));
      h[at] = std::exp(log_a) * h[at] + m * sigmoid(in_gate.at(row, i)) * x.at(row, i);
      expected.push_back(h[at]);
    }
  }
  Recurrence{n_rows, n}.expect(expected, 5e-6, {&x, &in_gate, &rec_gate}, n,
                               [&](const Context& c, Sequences s, const std::vector<Rows>& in, Rows out) {
                                 linear_recurrent_unit(c, {in[0], in[1], in[2], lambda.data(), out}, s, state_offset);
                               });
}

TEST(L2Normalize, DividesGroupsByTheirLength) {
  const OwnedRows x(5, 24, 1);
  for (const KernelTable* k : kernels::available_kernels()) {
    OwnedRows rows(5, 24);
    rows.data = x.data;
    rows.rows.data = rows.data.data();
    run_region(*k, 2, [&](const Context& c) { l2_normalize(c, rows.rows, 3, 1e-6f, 0.5f); });
    for (std::int64_t t = 0; t < 5; ++t) {
      for (std::int64_t i = 0; i < 24; ++i) {
        double square = 0;
        for (std::int64_t j = i / 8 * 8; j < i / 8 * 8 + 8; ++j) square += x.at(t, j) * x.at(t, j);
        ASSERT_NEAR(rows.at(t, i), 0.5 * x.at(t, i) / std::sqrt(square + 1e-6), 1e-6) << k->name;
      }
    }
  }
}

}  // namespace
}  // namespace llm::ops
