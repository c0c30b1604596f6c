#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <tuple>

#include <gtest/gtest.h>

#include "region.h"

namespace llm::ops {
namespace {

// One sequence: inputs for all positions, and a block cache that grows as positions are stored.
struct Case {
  AttentionSpec spec;
  KvLayout kv;
  std::int64_t n_keys = 0;
  OwnedRows q, k, v;
  std::vector<std::vector<std::byte>> blocks;
  std::vector<std::byte*> table;

  Case(const AttentionSpec& s, const KvLayout& layout, std::int64_t n)
      : spec(s),
        kv(layout),
        n_keys(n),
        q(n, s.n_head * layout.key_dim, 11, 1.5f),
        k(n, layout.n_head_kv * layout.key_dim, 12),
        v(n, layout.n_head_kv * layout.value_dim, 13) {
    kv.offset = 192;  // another layer's part before ours
    for (std::int64_t i = 0; i < n; i += kv.block_tokens) {
      blocks.emplace_back(kv.offset + kv.block_bytes() + 64, std::byte{0xff});  // NaN in every float type
    }
    for (auto& block : blocks) table.push_back(block.data());
  }

  // Evaluates the rows in chunks of the given sizes, repeated; rows of the output in order.
  std::vector<float> run(const kernels::KernelTable& table_of_isa, int n_threads,
                         const std::vector<std::int64_t>& chunks, bool with_buffer = true) {
    for (auto& block : blocks) std::fill(block.begin(), block.end(), std::byte{0xff});
    OwnedRows out(n_keys, spec.n_head * kv.value_dim);
    std::vector<std::byte> memory(attention_buffer_bytes(spec, kv, n_keys, n_keys) + 64);
    Team team(n_threads, attention_scratch_bytes(table_of_isa, spec, kv));
    std::size_t which = 0;
    for (std::int64_t at = 0; at < n_keys;) {
      const std::int64_t n = std::min(chunks[which++ % chunks.size()], n_keys - at);
      const std::int64_t n_rows = spec.causal ? n : n_keys;
      SequenceRows s;
      s.row_begin = 0;
      s.n_rows = n_rows;
      s.position = at;
      s.n_keys = n_keys;
      s.blocks = table.data();
      const auto part = [&](const OwnedRows& rows) {
        return Rows{rows.rows.row(at), n_rows, rows.rows.n_cols, rows.rows.stride};
      };
      team.run([&](const Worker& worker) {
        const Context c{worker, table_of_isa};
        Heads keys{.rows = part(k), .n_head = kv.n_head_kv, .head_dim = kv.key_dim};
        prepare_and_store(c, {}, keys, part(v), {&s, 1}, kv);
        attention(c, part(q), spec, kv, {&s, 1},
                  with_buffer ? AttentionBuffer{memory.data(), memory.size()} : AttentionBuffer{}, part(out));
      });
      at += n_rows;
    }
    return out.data;
  }

  // What the cache keeps of a row of numbers.
  std::vector<double> kept(TensorType type, const float* x, std::int64_t n) const {
    const kernels::KernelTable& any = *kernels::available_kernels().back();
    std::vector<std::byte> bytes(tensor_row_bytes(type, static_cast<std::uint64_t>(n)));
    std::vector<float> values(static_cast<std::size_t>(n));
    any.attention.store_row(type, x, n, bytes.data());
    any.decode_row(type, bytes.data(), values.data(), n);
    return {values.begin(), values.end()};
  }

  bool sees(std::int64_t p, std::int64_t key) const {
    if (spec.causal && key > p) return false;
    switch (spec.window_kind) {
      case WindowKind::none:
        return true;
      case WindowKind::sliding:
        return p - key < spec.window;
      case WindowKind::chunked:
        return p / spec.window == key / spec.window;
      case WindowKind::symmetric:
        return std::abs(p - key) <= spec.window / 2;
    }
    return true;
  }

  std::vector<double> expected() const {
    const int group = spec.n_head / kv.n_head_kv;
    std::vector<double> result;
    std::vector<std::vector<double>> keys, values;
    for (int h = 0; h < kv.n_head_kv; ++h) {
      for (std::int64_t t = 0; t < n_keys; ++t) {
        keys.push_back(kept(kv.key_type, k.rows.row(t) + h * kv.key_dim, kv.key_dim));
        values.push_back(kv.values_in_keys ? keys.back()
                                           : kept(kv.value_type, v.rows.row(t) + h * kv.value_dim, kv.value_dim));
      }
    }
    for (std::int64_t p = 0; p < n_keys; ++p) {
      for (int h = 0; h < spec.n_head; ++h) {
        const std::size_t first = static_cast<std::size_t>(h / group * n_keys);
        const float* x = q.rows.row(p) + h * kv.key_dim;
        std::vector<double> score(static_cast<std::size_t>(n_keys), -INFINITY);
        for (std::int64_t key = 0; key < n_keys; ++key) {
          if (!sees(p, key)) continue;
          double s = 0;
          for (int d = 0; d < kv.key_dim; ++d)
            s += static_cast<double>(x[d]) * keys[first + static_cast<std::size_t>(key)][static_cast<std::size_t>(d)];
          s *= spec.scale;
          if (spec.softcap != 0) s = spec.softcap * std::tanh(s / spec.softcap);
          if (spec.alibi_slopes != nullptr) s += spec.alibi_slopes[h] * static_cast<double>(key - p);
          if (spec.position_bias != nullptr) {
            const std::int64_t place = std::clamp<std::int64_t>(key - p - spec.bias_min, 0, spec.bias_width - 1);
            s += spec.position_bias[h * spec.bias_width + place];
          }
          score[static_cast<std::size_t>(key)] = s;
        }
        double most = *std::max_element(score.begin(), score.end());
        if (spec.sinks != nullptr) most = std::max(most, static_cast<double>(spec.sinks[h]));
        double total = spec.sinks != nullptr ? std::exp(spec.sinks[h] - most) : 0;
        std::vector<double> sum(static_cast<std::size_t>(kv.value_dim));
        for (std::int64_t key = 0; key < n_keys; ++key) {
          const double w = std::exp(score[static_cast<std::size_t>(key)] - most);
          total += w;
          if (w == 0) continue;
          for (std::size_t d = 0; d < sum.size(); ++d) sum[d] += w * values[first + static_cast<std::size_t>(key)][d];
        }
        for (const double s : sum) result.push_back(s / total);
      }
    }
    return result;
  }
};

double largest_error(const std::vector<float>& found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double error = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double e = std::abs(found[i] - expected[i]);
    error = std::isfinite(e) ? std::max(error, e) : INFINITY;
  }
  return error;
}

// Values are of size 1; rounding of float sums over up to some hundred entries and keys.
constexpr double tolerance = 4e-6;

KvLayout layout(int n_head_kv, int key_dim, int value_dim, int block_tokens, TensorType type) {
  return {.key_type = type,
          .value_type = type,
          .n_head_kv = n_head_kv,
          .key_dim = key_dim,
          .value_dim = value_dim,
          .block_tokens = block_tokens};
}

AttentionSpec plain(int n_head, int key_dim) {
  return {.n_head = n_head, .scale = 1 / std::sqrt(static_cast<float>(key_dim))};
}

void expect_close_on_all_isas(Case& test, const std::string& name) {
  const std::vector<double> expected = test.expected();
  for (const kernels::KernelTable* k : kernels::available_kernels()) {
    EXPECT_LT(largest_error(test.run(*k, 1, {test.n_keys}), expected), tolerance) << name << " on " << k->name;
  }
}

TEST(Attention, IsSoftmaxOfProductsForEveryShapeOfHead) {
  for (const auto& [n_head, n_kv, key_dim, value_dim] : {std::tuple{1, 1, 1, 1},
                                                         {3, 1, 5, 3},
                                                         {4, 4, 8, 8},
                                                         {6, 2, 16, 16},
                                                         {2, 1, 33, 31},
                                                         {12, 2, 128, 128},
                                                         {9, 3, 64, 64},
                                                         {5, 1, 80, 48},
                                                         {20, 1, 24, 17},
                                                         {70, 2, 8, 8}}) {
    Case test(plain(n_head, key_dim), layout(n_kv, key_dim, value_dim, 32, TensorType::F32), 70);
    expect_close_on_all_isas(test, std::to_string(n_head) + " heads of " + std::to_string(key_dim));
  }
}

TEST(Attention, ReadsEveryCacheTypeExactly) {
  for (const TensorType type :
       {TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q8_0, TensorType::Q4_0}) {
    for (const int dim : {32, 64, 96}) {
      Case test(plain(4, dim), layout(2, dim, dim, 64, type), 101);
      expect_close_on_all_isas(test, std::string(tensor_type_info(type).name));
    }
  }
}

TEST(Attention, KeysAndValuesMayDifferInTypeAndWidth) {
  KvLayout kv = layout(2, 48, 64, 32, TensorType::F16);
  kv.value_type = TensorType::Q8_0;
  Case test(plain(6, 48), kv, 77);
  expect_close_on_all_isas(test, "F16 keys, Q8_0 values");
}

TEST(Attention, ValuesMayBeTheBeginningOfKeys) {
  for (const TensorType type : {TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q8_0}) {
    KvLayout kv = layout(1, 96, 64, 32, type);
    kv.values_in_keys = true;
    Case test(plain(20, 96), kv, 90);
    expect_close_on_all_isas(test, std::string(tensor_type_info(type).name));
  }
}

TEST(Attention, WindowsHideKeys) {
  for (const std::int64_t size : {1, 2, 31, 32, 33, 100, 300}) {
    for (const WindowKind window : {WindowKind::sliding, WindowKind::chunked, WindowKind::symmetric}) {
      AttentionSpec spec = plain(2, 16);
      spec.window_kind = window;
      spec.window = size;
      spec.causal = window != WindowKind::symmetric;
      Case test(spec, layout(1, 16, 16, 32, TensorType::F32), 600);
      expect_close_on_all_isas(test, "window of " + std::to_string(size));
    }
  }
}

TEST(Attention, WithoutCausalMaskEveryKeyIsSeen) {
  AttentionSpec spec = plain(4, 16);
  spec.causal = false;
  Case test(spec, layout(2, 16, 16, 32, TensorType::F32), 300);
  expect_close_on_all_isas(test, "bidirectional");
}

TEST(Attention, SoftcapSinksSlopesAndPositionBias) {
  const std::vector<float> slopes = {0.5f, 0.03f, 0.002f, 1};
  const std::vector<float> sinks = {-3, 0, 2, 9};
  const std::vector<float> bias = random_floats(4 * 21, 31);
  for (int which = 0; which < 5; ++which) {
    AttentionSpec spec = plain(4, 24);
    if (which == 0 || which == 4) spec.softcap = 1.5f;
    if (which == 1 || which == 4) spec.sinks = sinks.data();
    if (which == 2 || which == 4) spec.alibi_slopes = slopes.data();
    if (which == 3 || which == 4) {
      spec.position_bias = bias.data();
      spec.bias_min = -17;
      spec.bias_width = 21;
    }
    Case test(spec, layout(2, 24, 24, 32, TensorType::F32), 310);
    expect_close_on_all_isas(test, "variation " + std::to_string(which));
  }
}

TEST(Attention, HugeScoresChooseOneKey) {
  AttentionSpec spec = plain(2, 16);
  spec.scale = 1e30f;  // of either sign
  Case test(spec, layout(1, 16, 16, 32, TensorType::F32), 300);
  for (const kernels::KernelTable* k : kernels::available_kernels()) {
    const std::vector<float> found = test.run(*k, 1, {300});
    for (std::size_t i = 0; i < found.size(); i += 16) {
      bool is_a_value = false;
      for (std::int64_t t = 0; t < 300; ++t) is_a_value |= std::equal(&found[i], &found[i] + 16, test.v.rows.row(t));
      ASSERT_TRUE(is_a_value) << k->name << ", head " << i / 16;
    }
  }
}

// The promise "one answer": bits do not depend on threads, chunks, sizes of blocks, or memory for parts.
TEST(Attention, BitsDependOnTheRowOnly) {
  struct Shape {
    int n_head, n_kv, dim;
    TensorType type;
    bool latent;
  };
  for (const Shape& shape : {Shape{6, 2, 64, TensorType::F16, false}, Shape{3, 3, 20, TensorType::F32, false},
                             Shape{8, 1, 32, TensorType::Q8_0, false}, Shape{17, 1, 64, TensorType::BF16, true}}) {
    AttentionSpec spec = plain(shape.n_head, shape.dim);
    const std::vector<float> sinks(static_cast<std::size_t>(shape.n_head), 0.3f);
    spec.sinks = sinks.data();
    KvLayout kv = layout(shape.n_kv, shape.dim, shape.latent ? 32 : shape.dim, 64, shape.type);
    kv.values_in_keys = shape.latent;
    for (const kernels::KernelTable* k : kernels::available_kernels()) {
      Case reference(spec, kv, 560);
      const std::vector<float> expected = reference.run(*k, 1, {1, 90});
      for (const int block_tokens : {32, 160}) {
        kv.block_tokens = block_tokens;
        Case test(spec, kv, 560);
        for (const int n_threads : {1, 2, 4}) {
          for (const std::vector<std::int64_t>& chunks : {std::vector<std::int64_t>{560}, {17, 1, 160}}) {
            const std::vector<float> found = test.run(*k, n_threads, chunks);
            EXPECT_EQ(0, std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)))
                << k->name << ", " << shape.n_head << " heads, blocks of " << block_tokens << ", " << n_threads
                << " threads, first chunk " << chunks[0];
          }
        }
        const std::vector<float> found = test.run(*k, 4, {550, 10}, false);
        EXPECT_EQ(0, std::memcmp(found.data(), expected.data(), found.size() * sizeof(float))) << "without buffer";
      }
    }
  }
}

// Rows beyond a row's own are not read, even when a chunk has stored them: here they are infinite.
TEST(Attention, LaterValuesOfTheSameChunkHaveNoInfluence) {
  Case test(plain(2, 16), layout(1, 16, 16, 32, TensorType::F32), 50);
  for (const kernels::KernelTable* k : kernels::available_kernels()) {
    const std::vector<float> before = test.run(*k, 1, {50});
    Case changed(plain(2, 16), layout(1, 16, 16, 32, TensorType::F32), 50);
    for (std::int64_t t = 20; t < 50; ++t) {
      std::fill_n(changed.v.rows.row(t), 16, INFINITY);
      std::fill_n(changed.k.rows.row(t), 16, NAN);
    }
    const std::vector<float> after = changed.run(*k, 1, {50});
    EXPECT_EQ(0, std::memcmp(before.data(), after.data(), 20 * 2 * 16 * sizeof(float))) << k->name;
  }
}

}  // namespace
}  // namespace llm::ops
