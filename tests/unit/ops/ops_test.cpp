#include "ops/ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include <gtest/gtest.h>

#include "region.h"

namespace llm::ops {
namespace {

using kernels::KernelTable;

// A float matrix with its view.
struct Matrix {
  std::vector<float> data;
  WeightMatrix view;
  Matrix(std::int64_t n_out, std::int64_t n_in, std::uint32_t seed)
      : data(random_floats(static_cast<std::size_t>(n_out * n_in), seed)),
        view{reinterpret_cast<const std::byte*>(data.data()), TensorType::F32, n_out, n_in} {}
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  double times(const float* x, std::int64_t row) const {
    double sum = 0;
    for (std::int64_t i = 0; i < view.n_in; ++i) {
      sum += static_cast<double>(data[static_cast<std::size_t>(row * view.n_in + i)]) * x[i];
    }
    return sum;
  }
};

std::vector<std::byte> pack_memory(const KernelTable& k, std::int64_t n_rows, std::int64_t n_cols, int n_threads) {
  return std::vector<std::byte>(pack_buffer_bytes(k, n_rows, n_cols, n_threads));
}

double silu(double x) {
  return x / (1 + std::exp(-x));
}

// Runs `evaluate` for all instruction sets, thread counts, and cuts of the rows in steps; all must give `expected`,
// and for one instruction set the same bits.
void expect_everywhere(
    std::int64_t n_rows, const std::vector<double>& expected, double tolerance,
    const std::function<std::vector<float>(const KernelTable&, int n_threads, std::int64_t chunk)>& evaluate) {
  for (const KernelTable* k : kernels::available_kernels()) {
    std::vector<float> first;
    for (const int n_threads : {1, 2, 3, 4}) {
      for (const std::int64_t chunk : {n_rows, std::int64_t{1}, std::int64_t{3}, std::int64_t{7}}) {
        const std::vector<float> found = evaluate(*k, n_threads, chunk);
        ASSERT_EQ(found.size(), expected.size());
        if (first.empty()) {
          first = found;
          for (std::size_t i = 0; i < found.size(); ++i) {
            ASSERT_NEAR(found[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << k->name << ", element " << i;
          }
        }
        ASSERT_EQ(0, std::memcmp(found.data(), first.data(), found.size() * sizeof(float)))
            << k->name << ", " << n_threads << " threads, chunks of " << chunk;
      }
    }
  }
}

// Rows [at, at + n) of all.
Rows part(const Rows& rows, std::int64_t at, std::int64_t n) {
  return {rows.row(at), n, rows.n_cols, rows.stride};
}

TEST(Matmul, NormedInputTimesSeveralMatricesWithBiasActivationScaleAndSum) {
  constexpr std::int64_t n_rows = 17, n_in = 70, n_out = 150;
  const OwnedRows x(n_rows, n_in, 1);
  const Matrix a(n_out, n_in, 2), b(40, n_in, 3);
  const std::vector<float> weight = random_floats(n_in, 4), bias = random_floats(n_out, 5);
  const Norm rms{kernels::NormKind::rms, weight.data(), nullptr, 1e-5f};
  const OwnedRows start(n_rows, n_out, 6);
  std::vector<double> expected;
  for (std::int64_t t = 0; t < n_rows; ++t) {
    double square = 0;
    for (std::int64_t i = 0; i < n_in; ++i) square += x.at(t, i) * x.at(t, i) / static_cast<double>(n_in);
    std::vector<float> normed;
    for (std::int64_t i = 0; i < n_in; ++i) {
      normed.push_back(static_cast<float>(x.at(t, i) / std::sqrt(square + 1e-5) * weight[static_cast<std::size_t>(i)]));
    }
    for (std::int64_t r = 0; r < n_out; ++r) {
      expected.push_back(start.at(t, r) + 0.5 * silu(a.times(normed.data(), r) + bias[static_cast<std::size_t>(r)]));
    }
    for (std::int64_t r = 0; r < 40; ++r) expected.push_back(b.times(normed.data(), r));
  }
  expect_everywhere(n_rows, expected, 5e-6, [&](const KernelTable& k, int n_threads, std::int64_t chunk) {
    OwnedRows sum(n_rows, n_out), plain(n_rows, 40);
    sum.data = start.data;
    sum.rows.data = sum.data.data();
    std::vector<std::byte> memory = pack_memory(k, chunk, n_in, n_threads);
    run_region(k, n_threads, [&](const Context& c) {
      for (std::int64_t at = 0; at < n_rows; at += chunk) {
        const std::int64_t n = std::min(chunk, n_rows - at);
        const PackedRows in =
            norm_pack(c, part(x.rows, at, n), rms, InputFormats(c, {&a.view, &b.view}), {memory.data(), memory.size()});
        matmul(c, in,
               {{.weight = &a.view,
                 .bias = bias.data(),
                 .out = part(sum.rows, at, n),
                 .add = true,
                 .scale = 0.5f,
                 .activation = Activation::silu},
                {.weight = &b.view, .out = part(plain.rows, at, n)}});
      }
    });
    std::vector<float> all;
    for (std::int64_t t = 0; t < n_rows; ++t) {
      all.insert(all.end(), sum.rows.row(t), sum.rows.row(t) + n_out);
      all.insert(all.end(), plain.rows.row(t), plain.rows.row(t) + 40);
    }
    return all;
  });
}

TEST(Matmul, MayAddToTheRowsItsInputCameFrom) {
  constexpr std::int64_t n = 64;
  const Matrix w(n, n, 2);
  const OwnedRows x(2, n, 1);
  for (const KernelTable* k : kernels::available_kernels()) {
    for (int repeat = 0; repeat < 30; ++repeat) {
      OwnedRows stream(2, n);
      stream.data = x.data;
      stream.rows.data = stream.data.data();
      std::vector<std::byte> memory = pack_memory(*k, 2, n, 4);
      run_region(*k, 4, [&](const Context& c) {
        const PackedRows in = pack(c, stream.rows, InputFormats(c, {&w.view}), {memory.data(), memory.size()});
        matmul(c, in, {{.weight = &w.view, .out = stream.rows, .add = true}});
      });
      for (std::int64_t t = 0; t < 2; ++t) {
        for (std::int64_t r = 0; r < n; ++r) {
          ASSERT_NEAR(stream.at(t, r), x.at(t, r) + w.times(x.rows.row(t), r), 2e-5);
        }
      }
    }
  }
}

TEST(Matmul, GatedHalvesAreComputedSideBySide) {
  constexpr std::int64_t n_rows = 9, n_in = 33, n_out = 100;
  const OwnedRows x(n_rows, n_in, 1, 0.3f);
  const Matrix gate(n_out, n_in, 2), up(n_out, n_in, 3);
  const std::vector<float> bias = random_floats(n_out, 4);
  std::vector<double> expected;
  for (std::int64_t t = 0; t < n_rows; ++t) {
    for (std::int64_t r = 0; r < n_out; ++r) {
      expected.push_back(silu(gate.times(x.rows.row(t), r)) *
                         (up.times(x.rows.row(t), r) + bias[static_cast<std::size_t>(r)]));
    }
  }
  expect_everywhere(n_rows, expected, 5e-6, [&](const KernelTable& k, int n_threads, std::int64_t chunk) {
    OwnedRows out(n_rows, n_out);
    std::vector<std::byte> memory = pack_memory(k, chunk, n_in, n_threads);
    run_region(k, n_threads, [&](const Context& c) {
      for (std::int64_t at = 0; at < n_rows; at += chunk) {
        const std::int64_t n = std::min(chunk, n_rows - at);
        const PackedRows in =
            pack(c, part(x.rows, at, n), InputFormats(c, {&gate.view, &up.view}), {memory.data(), memory.size()});
        matmul_gated(c, in, {.gate = &gate.view, .up = &up.view, .up_bias = bias.data(), .out = part(out.rows, at, n)});
      }
    });
    return out.data;
  });
}

TEST(Matmul, QuantisedMatricesGiveTheSameBitsForEveryCut) {
  constexpr std::int64_t n_rows = 10, n_in = 256, n_out = 90;
  const OwnedRows x(n_rows, n_in, 1);
  const std::vector<float> weight = random_floats(n_out * n_in, 2);
  const KernelTable& encoder = *kernels::available_kernels().back();
  for (const TensorType type : {TensorType::Q4_0, TensorType::Q8_0, TensorType::Q4_K, TensorType::F16}) {
    std::vector<std::byte> bytes(n_out * tensor_row_bytes(type, n_in));
    for (std::int64_t r = 0; r < n_out; ++r) {
      ASSERT_TRUE(encoder.encode_row(type, &weight[static_cast<std::size_t>(r * n_in)],
                                     bytes.data() + r * static_cast<std::int64_t>(tensor_row_bytes(type, n_in)), n_in));
    }
    const WeightMatrix w{bytes.data(), type, n_out, n_in};
    for (const KernelTable* k : kernels::available_kernels()) {
      std::vector<float> first;
      for (const int n_threads : {1, 2, 3}) {
        for (const std::int64_t chunk : {std::int64_t{1}, std::int64_t{4}, n_rows}) {
          OwnedRows out(n_rows, n_out);
          std::vector<std::byte> memory = pack_memory(*k, chunk, n_in, n_threads);
          const auto body = [&](const Context& c) {
            for (std::int64_t at = 0; at < n_rows; at += chunk) {
              const std::int64_t n = std::min(chunk, n_rows - at);
              const PackedRows in = pack(c, part(x.rows, at, n), InputFormats(c, {&w}), {memory.data(), memory.size()});
              matmul(c, in, {{.weight = &w, .out = part(out.rows, at, n)}});
            }
          };
          run_region(*k, n_threads, body, false);
          if (first.empty()) first = out.data;
          EXPECT_EQ(first, out.data) << k->name << " " << tensor_type_info(type).name << ", " << n_threads
                                     << " threads, chunks of " << chunk;
        }
      }
    }
  }
}

TEST(BlockLinear, EveryBlockSeesItsPartOfTheInput) {
  constexpr std::int64_t n_rows = 5, n_blocks = 3, n_in = 10, n_out = 7;
  const OwnedRows x(n_rows, n_blocks * n_in, 1);
  const Matrix w(n_blocks * n_out, n_in, 2);
  const std::vector<float> bias = random_floats(n_blocks * n_out, 3);
  std::vector<double> expected;
  for (std::int64_t t = 0; t < n_rows; ++t) {
    for (std::int64_t r = 0; r < n_blocks * n_out; ++r) {
      expected.push_back(w.times(x.rows.row(t) + r / n_out * n_in, r) + bias[static_cast<std::size_t>(r)]);
    }
  }
  expect_everywhere(n_rows, expected, 5e-6, [&](const KernelTable& k, int n_threads, std::int64_t chunk) {
    OwnedRows out(n_rows, n_blocks * n_out);
    run_region(k, n_threads, [&](const Context& c) {
      for (std::int64_t at = 0; at < n_rows; at += chunk) {
        const std::int64_t n = std::min(chunk, n_rows - at);
        block_linear(c, part(x.rows, at, n), w.view, n_blocks, bias.data(), part(out.rows, at, n));
      }
    });
    return out.data;
  });
}

TEST(RowOps, EachDoesWhatItsNameSays) {
  constexpr std::int64_t n_rows = 5, n = 37;
  const OwnedRows x(n_rows, n, 1), y(n_rows, n, 2), gate(n_rows, 1, 3);
  const std::vector<float> w = random_floats(n, 4);
  struct Op {
    const char* name;
    std::function<void(const Context&, Rows)> run;
    std::function<double(double a, double b, double g, double weight)> expected;
  };
  const std::vector<Op> ops = {
      {"scale", [](const Context& c, Rows r) { scale(c, r, 0.3f); },
       [](double a, double, double, double) { return a * static_cast<double>(0.3f); }},
      {"scale_columns", [&](const Context& c, Rows r) { scale_columns(c, r, w.data()); },
       [](double a, double, double, double v) { return a * v; }},
      {"add", [&](const Context& c, Rows r) { add(c, y.rows, 0.5f, r); },
       [](double a, double b, double, double) { return a + 0.5 * b; }},
      {"multiply", [&](const Context& c, Rows r) { multiply(c, y.rows, r); },
       [](double a, double b, double, double) { return a * b; }},
      {"add_sigmoid_gated", [&](const Context& c, Rows r) { add_sigmoid_gated(c, y.rows, gate.rows, r); },
       [](double a, double b, double g, double) { return a + b / (1 + std::exp(-g)); }},
      {"activation", [](const Context& c, Rows r) { activation(c, r, Activation::silu); },
       [](double a, double, double, double) { return silu(a); }},
      {"gated", [&](const Context& c, Rows r) { gated(c, r, y.rows, Gated{}, r); },
       [](double a, double b, double, double) { return silu(a) * b; }},
      {"clamp", [](const Context& c, Rows r) { clamp(c, r, -0.5f, 0.5f); },
       [](double a, double, double, double) { return std::clamp(a, -0.5, 0.5); }},
      {"softcap", [](const Context& c, Rows r) { softcap(c, r, 2); },
       [](double a, double, double, double) { return 2 * std::tanh(a / 2); }},
      {"copy", [&](const Context& c, Rows r) { copy(c, y.rows, r); },
       [](double, double b, double, double) { return b; }}};
  for (const Op& op : ops) {
    SCOPED_TRACE(op.name);
    std::vector<double> expected;
    for (std::int64_t t = 0; t < n_rows; ++t) {
      for (std::int64_t i = 0; i < n; ++i) {
        expected.push_back(op.expected(x.at(t, i), y.at(t, i), gate.at(t, 0), w[static_cast<std::size_t>(i)]));
      }
    }
    expect_everywhere(n_rows, expected, 1e-6, [&](const KernelTable& k, int n_threads, std::int64_t) {
      OwnedRows rows(n_rows, n);
      rows.data = x.data;
      rows.rows.data = rows.data.data();
      run_region(k, n_threads, [&](const Context& c) { op.run(c, rows.rows); });
      return rows.data;
    });
  }
}

TEST(RowOps, EmbeddingsPositionsAndGatheredRows) {
  const Matrix tokens(20, 24, 1), positions(30, 24, 2);
  const std::vector<std::int32_t> ids = {3, 19, 0, 3, 7};
  const std::vector<std::int32_t> wanted = {4, 0};
  const std::vector<SequenceRows> sequences = {{.row_begin = 0, .n_rows = 2, .position = 9},
                                               {.row_begin = 2, .n_rows = 3}};
  for (const KernelTable* k : kernels::available_kernels()) {
    for (const int n_threads : {1, 2, 4}) {
      OwnedRows out(5, 24), some(2, 24);
      run_region(*k, n_threads, [&](const Context& c) {
        embed(c, tokens.view, ids, 2, false, out.rows);
        embed(c, tokens.view, ids, 0.5f, true, out.rows);
        add_positions(c, positions.view, sequences, 2, out.rows);
        gather_rows(c, out.rows, wanted, some.rows);
      });
      const std::vector<std::int64_t> places = {11, 12, 2, 3, 4};
      for (std::int64_t t = 0; t < 5; ++t) {
        for (std::int64_t i = 0; i < 24; ++i) {
          const double token = tokens.data[static_cast<std::size_t>(ids[static_cast<std::size_t>(t)] * 24 + i)];
          const double place = positions.data[static_cast<std::size_t>(places[static_cast<std::size_t>(t)] * 24 + i)];
          ASSERT_NEAR(out.at(t, i), 2.5 * token + place, 1e-5);
        }
      }
      for (std::int64_t i = 0; i < 24; ++i) {
        ASSERT_EQ(some.at(0, i), out.at(4, i));
        ASSERT_EQ(some.at(1, i), out.at(0, i));
      }
    }
  }
}

TEST(RowOps, GroupedNormsWithTheirGate) {
  constexpr std::int64_t n_rows = 4, n = 36, n_groups = 3;
  const OwnedRows x(n_rows, n, 1), gate(n_rows, n, 2);
  const std::vector<float> w = random_floats(n, 3);
  const Norm rms{kernels::NormKind::rms, w.data(), nullptr, 1e-6f};
  for (const int mode : {0, 1, 2}) {  // no gate, before, after
    std::vector<double> expected;
    for (std::int64_t t = 0; t < n_rows; ++t) {
      for (std::int64_t i = 0; i < n; ++i) {
        const auto value = [&](std::int64_t j) { return mode == 1 ? x.at(t, j) * silu(gate.at(t, j)) : x.at(t, j); };
        double square = 0;
        const std::int64_t begin = i / 12 * 12;
        for (std::int64_t j = begin; j < begin + 12; ++j) square += value(j) * value(j) / 12;
        double y = value(i) / std::sqrt(square + 1e-6) * w[static_cast<std::size_t>(i)];
        if (mode == 2) y *= silu(gate.at(t, i));
        expected.push_back(y);
      }
    }
    expect_everywhere(n_rows, expected, 3e-6, [&](const KernelTable& k, int n_threads, std::int64_t) {
      OwnedRows rows(n_rows, n);
      rows.data = x.data;
      rows.rows.data = rows.data.data();
      run_region(k, n_threads, [&](const Context& c) {
        grouped_norm(c, rows.rows, rms, n_groups, mode == 0 ? Rows{} : gate.rows, mode == 2, rows.rows);
      });
      return rows.data;
    });
  }
}

TEST(Rope, AnglesAreExactUpToAMillionPositions) {
  std::vector<double> frequencies;
  for (int i = 0; i < 32; ++i) frequencies.push_back(std::pow(10000.0, -i / 32.0));
  const RopeSpec spec{frequencies, 1.1};
  const std::vector<SequenceRows> sequences = {{.row_begin = 0, .n_rows = 3, .position = 0},
                                               {.row_begin = 3, .n_rows = 2, .position = 1'000'000}};
  std::vector<float> memory(5 * 64);
  run_region(kernels::kernels(), 2,
             [&](const Context& c) { (void)fill_rope_table(c, spec, sequences, memory.data()); });
  const std::vector<double> positions = {0, 1, 2, 1e6, 1e6 + 1};
  for (std::size_t t = 0; t < 5; ++t) {
    for (std::size_t i = 0; i < 32; ++i) {
      EXPECT_FLOAT_EQ(memory[t * 64 + i], static_cast<float>(1.1 * std::cos(positions[t] * frequencies[i])));
      EXPECT_FLOAT_EQ(memory[t * 64 + 32 + i], static_cast<float>(1.1 * std::sin(positions[t] * frequencies[i])));
    }
  }
}

TEST(Heads, ClampNormRopeAndScaleInTheGivenOrder) {
  constexpr std::int64_t n_rows = 6, n_head = 3, dim = 12, n_rot = 8, begin = 4;
  const OwnedRows x(n_rows, n_head * dim, 1);
  const std::vector<float> w = random_floats(n_head * dim, 2), b = random_floats(n_head * dim, 3);
  const std::vector<double> frequencies = {1, 0.3, 0.1, 0.03};
  for (const auto over : {Heads::NormOver::none, Heads::NormOver::head, Heads::NormOver::row}) {
    for (const bool after : {false, true}) {
      for (const auto pairing : {RopePairing::halves, RopePairing::adjacent}) {
        std::vector<double> expected;
        for (std::int64_t t = 0; t < n_rows; ++t) {
          std::vector<double> row;
          for (std::int64_t i = 0; i < n_head * dim; ++i) row.push_back(std::clamp<double>(x.at(t, i), -1.25, 1.25));
          const auto norm_part = [&](std::int64_t from, std::int64_t count) {
            double mean = 0;
            double square = 0;
            for (std::int64_t i = from; i < from + count; ++i)
              mean += row[static_cast<std::size_t>(i)] / static_cast<double>(count);
            for (std::int64_t i = from; i < from + count; ++i) {
              square += std::pow(row[static_cast<std::size_t>(i)] - mean, 2) / static_cast<double>(count);
            }
            for (std::int64_t i = from; i < from + count; ++i) {
              const std::size_t at = static_cast<std::size_t>(i);
              row[at] = (row[at] - mean) / std::sqrt(square + 1e-5) * w[at] + b[at];
            }
          };
          if (over == Heads::NormOver::row) norm_part(0, n_head * dim);
          for (std::int64_t h = 0; h < n_head; ++h) {
            if (over == Heads::NormOver::head && !after) norm_part(h * dim, dim);
            for (std::int64_t i = 0; i < n_rot / 2; ++i) {
              const bool adjacent = pairing == RopePairing::adjacent;
              const std::size_t p = static_cast<std::size_t>(h * dim + begin + (adjacent ? 2 * i : i));
              const std::size_t q = adjacent ? p + 1 : p + n_rot / 2;
              const double angle = static_cast<double>(t + 5) * frequencies[static_cast<std::size_t>(i)];
              const double r = row[p];
              row[p] = r * std::cos(angle) - row[q] * std::sin(angle);
              row[q] = row[q] * std::cos(angle) + r * std::sin(angle);
            }
            if (over == Heads::NormOver::head && after) norm_part(h * dim, dim);
          }
          for (const double r : row) expected.push_back(0.5 * r);
        }
        expect_everywhere(n_rows, expected, 3e-6, [&](const KernelTable& k, int n_threads, std::int64_t chunk) {
          OwnedRows rows(n_rows, n_head * dim);
          rows.data = x.data;
          rows.rows.data = rows.data.data();
          std::vector<float> memory(n_rows * n_rot);
          run_region(k, n_threads, [&](const Context& c) {
            for (std::int64_t at = 0; at < n_rows; at += chunk) {
              const std::int64_t n = std::min(chunk, n_rows - at);
              const SequenceRows s{.row_begin = 0, .n_rows = n, .position = at + 5};
              Heads heads;
              heads.rows = part(rows.rows, at, n);
              heads.n_head = n_head;
              heads.head_dim = dim;
              heads.clamp = 1.25f;
              heads.norm_over = over;
              heads.norm = {kernels::NormKind::layer, w.data(), b.data(), 1e-5f};
              heads.norm_weight_per_head = true;
              heads.norm_after_rope = after;
              heads.rope = fill_rope_table(c, {frequencies, 1}, {&s, 1}, memory.data());
              heads.pairing = pairing;
              heads.rope_begin = begin;
              heads.scale = 0.5f;
              prepare_heads(c, heads);
            }
          });
          return rows.data;
        });
      }
    }
  }
}

}  // namespace
}  // namespace llm::ops
