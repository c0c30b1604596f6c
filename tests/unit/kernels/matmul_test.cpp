#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "blocks_file.h"
#include "kernels/decode.h"
#include "kernels/kernels.h"

namespace llm::kernels {
namespace {

constexpr unsigned seed = 20240607;

enum class Blocks {
  quantised,  // real data: the first sixteen of each reference file
  extreme,    // random bits, greatest and smallest scales, codes of -128, denormals: the others
};

// Weight rows made of reference blocks.
std::vector<std::uint8_t> weight_rows(const TensorTypeInfo& info, std::int64_t n_rows, std::int64_t n_cols, Blocks kind,
                                      std::mt19937& random) {
  std::vector<std::uint8_t> bytes;
  if (info.type == TensorType::F32) {
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < n_rows * n_cols; ++i) {
      const float value = normal(random);
      const auto* p = reinterpret_cast<const std::uint8_t*>(&value);
      bytes.insert(bytes.end(), p, p + sizeof value);
    }
    return bytes;
  }
  const testing::Blocks reference = testing::read_blocks(info.name);
  std::vector<std::size_t> chosen;
  const std::size_t n_blocks = reference.blocks.size() / static_cast<std::size_t>(info.block_bytes);
  for (std::size_t i = kind == Blocks::extreme ? 16 : 0; i < (kind == Blocks::extreme ? n_blocks : 16); ++i) {
    std::vector<float> values(static_cast<std::size_t>(info.block_elements));
    decode_row(info.type, reinterpret_cast<const std::byte*>(reference.blocks.data()) + i * info.block_bytes,
               values.data(), info.block_elements);
    // Sums of larger numbers leave the range of float32.
    if (std::all_of(values.begin(), values.end(), [](float v) { return std::fabs(v) < 1e30f; })) chosen.push_back(i);
  }
  std::uniform_int_distribution<std::size_t> pick(0, chosen.size() - 1);
  for (std::int64_t i = 0; i < n_rows * n_cols / info.block_elements; ++i) {
    const auto block = reference.blocks.begin() + static_cast<std::ptrdiff_t>(chosen[pick(random)] * info.block_bytes);
    bytes.insert(bytes.end(), block, block + info.block_bytes);
  }
  return bytes;
}

struct Problem {
  TensorTypeInfo info;
  std::int64_t n_rows, n_cols, n_tokens;
  bool shifted = false;  // weights begin at an odd address
  std::vector<std::uint8_t> weight;
  std::vector<float> act;         // [n_tokens, n_cols]
  std::vector<double> expected;   // [n_tokens, n_rows]
  std::vector<double> magnitude;  // sum of |w * a|

  Problem(const TensorTypeInfo& type, std::int64_t rows, std::int64_t cols, std::int64_t tokens,
          Blocks blocks = Blocks::quantised)
      : info(type), n_rows(rows), n_cols(cols), n_tokens(tokens) {
    std::mt19937 random(seed);
    weight = weight_rows(info, n_rows, n_cols, blocks, random);
    std::normal_distribution<float> normal;
    act.resize(static_cast<std::size_t>(n_tokens * n_cols));
    for (float& a : act) a = normal(random);
    compute_expected();
  }

  void set_act(std::vector<float> values) {
    act = std::move(values);
    compute_expected();
  }

  void compute_expected() {
    std::vector<float> row(static_cast<std::size_t>(n_cols));
    expected.resize(static_cast<std::size_t>(n_tokens * n_rows));
    magnitude.resize(expected.size());
    for (std::int64_t r = 0; r < n_rows; ++r) {
      decode_row(info.type, row_begin(r), row.data(), n_cols);
      for (std::int64_t t = 0; t < n_tokens; ++t) {
        double sum = 0;
        double size = 0;
        for (std::int64_t k = 0; k < n_cols; ++k) {
          const double product = static_cast<double>(row[k]) * act[t * n_cols + k];
          sum += product;
          size += std::abs(product);
        }
        expected[t * n_rows + r] = sum;
        magnitude[t * n_rows + r] = size;
      }
    }
  }

  const std::byte* row_begin(std::int64_t r) const {
    return reinterpret_cast<const std::byte*>(weight.data()) +
           r * static_cast<std::int64_t>(tensor_row_bytes(info.type, static_cast<std::uint64_t>(n_cols)));
  }

  // Row of activations and of outputs of each token, if not the token's own; for runs from token 0 on.
  std::vector<std::int32_t> act_rows, out_rows;

  // Tokens [token_begin, token_end) x rows [row_begin, row_end) into out [n_tokens, n_rows].
  void run(const KernelTable& table, Precision precision, std::int64_t row_from, std::int64_t row_to,
           std::int64_t token_from, std::int64_t token_to, std::vector<float>& out) const {
    const ActFormat format = table.act_format(info.type, n_cols, precision);
    const std::size_t act_bytes = table.act_row_bytes(format, n_cols);
    const std::int64_t packed_to = act_rows.empty() ? token_to : n_tokens;
    std::vector<std::byte> packed(act_bytes * static_cast<std::size_t>(packed_to - token_from) + 64);
    for (std::int64_t t = token_from; t < packed_to; ++t) {
      table.pack_act(format, act.data() + t * n_cols, n_cols, packed.data() + (t - token_from) * act_bytes);
    }
    constexpr std::byte untouched{0xa5};
    const std::size_t scratch_bytes = table.matmul_scratch_bytes(info.type, n_cols);
    std::vector<std::byte> scratch(scratch_bytes + 64 + 4096, untouched);
    const auto misaligned = reinterpret_cast<std::uintptr_t>(scratch.data()) % 64;
    // Where files put weights: at any byte, numbers at a multiple of their size.
    const std::size_t offset =
        shifted ? (info.block_elements == 1 ? static_cast<std::size_t>(info.block_bytes) : 1) : 0;
    std::vector<std::uint8_t> moved(weight.size() + offset);
    std::copy(weight.begin(), weight.end(), moved.begin() + static_cast<std::ptrdiff_t>(offset));
    MatmulTask task;
    task.weight = reinterpret_cast<const std::byte*>(moved.data() + offset);
    task.type = info.type;
    task.n_cols = n_cols;
    task.row_begin = row_from;
    task.row_end = row_to;
    task.act = packed.data();
    task.format = format;
    task.n_tokens = token_to - token_from;
    task.act_rows = act_rows.empty() ? nullptr : act_rows.data();
    task.out_rows = out_rows.empty() ? nullptr : out_rows.data();
    task.out = out.data() + token_from * n_rows;
    task.out_stride = n_rows;
    task.scratch = scratch.data() + (64 - misaligned) % 64;
    table.matmul(task);
    const auto scratch_end =
        scratch.begin() + (task.scratch - scratch.data()) + static_cast<std::ptrdiff_t>(scratch_bytes);
    ASSERT_TRUE(std::all_of(scratch_end, scratch.end(), [&](std::byte b) { return b == untouched; }))
        << table.name << " " << info.name << " columns " << n_cols << " tokens " << task.n_tokens << ": scratch";
  }
};

std::vector<TensorTypeInfo> all_types() {
  std::vector<TensorTypeInfo> types = testing::block_types();
  types.push_back(tensor_type_info(TensorType::F32));
  return types;
}

// Columns to try: small multiples of the block, and odd counts where a row may have any.
std::vector<std::int64_t> column_counts(const TensorTypeInfo& info) {
  if (info.block_elements == 1) return {1, 3, 15, 16, 17, 31, 33, 64, 100, 257};
  const std::int64_t block = info.block_elements;
  return {block, 2 * block, 3 * block, 5 * block, (block == 32 ? 18 : 4) * block};
}

TEST(Matmul, EqualsTheDoublePrecisionProductInExactMode) {
  for (const KernelTable* table : available_kernels()) {
    for (const TensorTypeInfo& info : all_types()) {
      for (const std::int64_t n_cols : column_counts(info)) {
        const Problem p(info, 37, n_cols, 5);
        std::vector<float> out(p.expected.size(), NAN);
        p.run(*table, Precision::exact, 0, p.n_rows, 0, p.n_tokens, out);
        for (std::size_t i = 0; i < out.size(); ++i) {
          // float32 sums of at most n_cols terms in several accumulators
          ASSERT_NEAR(out[i], p.expected[i], 1e-6 * p.magnitude[i] + 1e-30)
              << table->name << " " << info.name << " columns " << n_cols << " output " << i << " seed " << seed;
        }
      }
    }
  }
}

// Those that differ for this type.
std::vector<Precision> precisions_of(const KernelTable& table, const TensorTypeInfo& info) {
  std::vector<Precision> all = {Precision::usual, Precision::fine, Precision::exact};
  if (table.act_format(info.type, 256, Precision::fine) != ActFormat::i10_32) all.erase(all.begin() + 1);
  return all;
}

// Activations that int8 codes hold exactly: whole numbers times a power of two, one of them +-127 in 32.
std::vector<float> exact_in_int8(std::size_t n, std::mt19937& random) {
  std::vector<float> act(n);
  for (std::size_t i = 0; i < n; ++i) {
    const int code = i % 32 == 7 ? (random() % 2 == 0 ? 127 : -127) : static_cast<int>(random() % 255) - 127;
    act[i] = std::ldexp(static_cast<float>(code), static_cast<int>(i / 32 % 5) - 3);
  }
  return act;
}

TEST(Matmul, EqualsTheProductInDefaultModeWhereCodesHoldTheActivations) {
  for (const KernelTable* table : available_kernels()) {
    int n_types = 0;
    for (const TensorTypeInfo& info : all_types()) {
      for (const std::int64_t n_cols : column_counts(info)) {
        if (table->act_format(info.type, n_cols, Precision::usual) != ActFormat::i8_32) continue;
        ++n_types;
        for (const std::int64_t n_rows : {3, 37}) {
          Problem p(info, n_rows, n_cols, 19);
          std::mt19937 random(seed);
          p.set_act(exact_in_int8(p.act.size(), random));
          for (const std::int64_t n_tokens : {1, 19}) {
            std::vector<float> out(p.expected.size(), NAN);
            for (const Precision precision : {Precision::usual, Precision::fine}) {
              p.run(*table, precision, 0, p.n_rows, 0, n_tokens, out);
              for (std::size_t i = 0; i < static_cast<std::size_t>(n_tokens * n_rows); ++i) {
                // as above; codes and minima may cancel, so the bound is on the sum of magnitudes
                ASSERT_NEAR(out[i], p.expected[i], 1e-6 * p.magnitude[i] + 1e-30)
                    << table->name << " " << info.name << " precision " << static_cast<int>(precision) << " columns "
                    << n_cols << " tokens " << n_tokens << " output " << i << " seed " << seed;
              }
            }
          }
        }
      }
    }
    EXPECT_GE(n_types, 13) << table->name;
  }
}

// The relative error that packing leaves in numbers from a normal distribution: products with identity weights (Q8_0)
// give the rounded activations back.
double packing_error(const KernelTable& table, Precision precision) {
  const std::int64_t n = 4096;
  const TensorTypeInfo& info = tensor_type_info(TensorType::Q8_0);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> act(n);
  for (float& a : act) a = normal(random);
  double error = 0;
  for (std::int64_t g = 0; g < n / 32; ++g) {
    std::vector<float> part(act.begin() + g * 32, act.begin() + g * 32 + 32);
    Problem p(info, 32, 32, 1);
    for (std::int64_t r = 0; r < 32; ++r) {
      std::fill_n(p.weight.begin() + r * 34, 34, std::uint8_t{0});
      p.weight[static_cast<std::size_t>(r * 34 + 1)] = 0x3c;  // 1 in half precision
      p.weight[static_cast<std::size_t>(r * 34 + 2 + r)] = 1;
    }
    p.act = part;
    std::vector<float> out(32);
    p.run(table, precision, 0, 32, 0, 1, out);
    for (int i = 0; i < 32; ++i) error += std::pow(static_cast<double>(out[i]) - part[i], 2);
  }
  return std::sqrt(error / n);
}

TEST(Matmul, RoundsActivationsWithALittleLessErrorThanPlainRounding) {
  // One scale for 32 numbers with the greatest one at 127 leaves a relative error of 0.0055.
  for (const KernelTable* table : available_kernels()) {
    EXPECT_LT(packing_error(*table, Precision::usual), 0.0051) << table->name << " seed " << seed;
  }
}

TEST(Matmul, FineProductsRoundActivationsInStepsAQuarterAsWide) {
  for (const KernelTable* table : available_kernels()) {
    EXPECT_LT(packing_error(*table, Precision::fine), 0.0056 / 4) << table->name << " seed " << seed;
  }
}

TEST(Matmul, SurvivesActivationsThatAreNotNumbersAndKeepsTinyOnes) {
  const TensorTypeInfo& info = tensor_type_info(TensorType::Q4_0);
  for (const KernelTable* table : available_kernels()) {
    for (const Precision precision : {Precision::usual, Precision::fine}) {
      for (const float odd : {NAN, INFINITY, -INFINITY, 1e38f, 1e-42f, 0.0f}) {
        Problem p(info, 33, 64, 17);
        p.act[5] = odd;
        std::vector<float> out(p.expected.size(), -1);
        p.run(*table, precision, 0, p.n_rows, 0, p.n_tokens, out);
        for (std::int64_t i = p.n_rows; i < static_cast<std::int64_t>(out.size()); ++i) {
          ASSERT_TRUE(std::isfinite(out[i])) << table->name << " " << odd << " output " << i;  // the other tokens
        }
        std::vector<float> tiny(p.act.size(), 1e-42f);
        p.act = tiny;
        p.run(*table, precision, 0, p.n_rows, 0, p.n_tokens, out);
        for (const float value : out) ASSERT_NEAR(value, 0.0f, 1e-30f) << table->name;
      }
    }
  }
}

TEST(Matmul, KeepsSixteenBitsOfActivationsWhereTheyBecomeBfloat16Pairs) {
  for (const KernelTable* table : available_kernels()) {
    for (const TensorType type : {TensorType::F16, TensorType::BF16}) {
      const TensorTypeInfo& info = tensor_type_info(type);
      if (table->act_format(type, 64, Precision::usual) != ActFormat::bf16x2) continue;
      for (const std::int64_t n_cols : {1, 31, 64, 100, 512, 513, 576, 1000, 1536}) {
        const Problem p(info, 37, n_cols, 35);
        std::vector<float> out(p.expected.size(), NAN);
        p.run(*table, Precision::usual, 0, p.n_rows, 0, p.n_tokens, out);
        for (std::size_t i = 0; i < out.size(); ++i) {
          ASSERT_NEAR(out[i], p.expected[i], 0x1p-15 * p.magnitude[i]) << n_cols << " output " << i << " seed " << seed;
        }
      }
    }
  }
}

TEST(Matmul, GivesTheSameBitsForAnySplitOfRowsAndTokens) {
  for (const KernelTable* table : available_kernels()) {
    for (const TensorTypeInfo& info : all_types()) {
      for (const Precision precision : precisions_of(*table, info)) {
        const std::int64_t n_cols = info.block_elements == 1 ? 583 : 3 * info.block_elements;
        const Problem p(info, 53, n_cols, 41);
        std::vector<float> whole(p.expected.size(), NAN);
        p.run(*table, precision, 0, p.n_rows, 0, p.n_tokens, whole);
        std::vector<float> parts(p.expected.size(), NAN);
        std::mt19937 random(seed);
        for (std::int64_t t = 0; t < p.n_tokens;) {
          const std::int64_t t_end = std::min<std::int64_t>(p.n_tokens, t + 1 + random() % 21);
          for (std::int64_t r = 0; r < p.n_rows;) {
            const std::int64_t r_end = std::min<std::int64_t>(p.n_rows, r + 1 + random() % 21);
            p.run(*table, precision, r, r_end, t, t_end, parts);
            r = r_end;
          }
          t = t_end;
        }
        for (std::size_t i = 0; i < whole.size(); ++i) {
          ASSERT_EQ(whole[i], parts[i]) << table->name << " " << info.name << " precision "
                                        << static_cast<int>(precision) << " output " << i << " seed " << seed;
        }
      }
    }
  }
}

TEST(Matmul, GivesTheSameBitsForAnyNumberOfRowsAndTokensAtAnyAddress) {
  // 0 ... two vectors and some rows; 128 and more are walked in streams.
  std::vector<std::int64_t> row_counts;
  for (std::int64_t n = 0; n <= 35; ++n) row_counts.push_back(n);
  row_counts.insert(row_counts.end(), {63, 64, 65, 128, 133});
  for (const KernelTable* table : available_kernels()) {
    for (const TensorTypeInfo& info : all_types()) {
      const std::int64_t n_cols = info.block_elements == 1 ? 45 : info.block_elements;
      Problem p(info, 133, n_cols, 33);
      for (const Precision precision : precisions_of(*table, info)) {
        p.shifted = false;
        std::vector<float> whole(p.expected.size(), NAN);
        p.run(*table, precision, 0, p.n_rows, 0, p.n_tokens, whole);
        p.shifted = true;
        for (const std::int64_t n_rows : row_counts) {
          for (const std::int64_t n_tokens : {1, 2, 3, 4, 7, 8, 9, 16, 17, 33}) {
            if (n_rows % 4 != 1 && n_tokens > 9) continue;  // the long ones for some
            std::vector<float> out(p.expected.size(), -7);
            p.run(*table, precision, 0, n_rows, 0, n_tokens, out);
            for (std::int64_t t = 0; t < p.n_tokens; ++t) {
              for (std::int64_t r = 0; r < p.n_rows; ++r) {
                const std::size_t i = static_cast<std::size_t>(t * p.n_rows + r);
                ASSERT_EQ(out[i], t < n_tokens && r < n_rows ? whole[i] : -7.0f)
                    << table->name << " " << info.name << " precision " << static_cast<int>(precision) << " rows "
                    << n_rows << " tokens " << n_tokens << " output " << t << "," << r << " seed " << seed;
              }
            }
          }
        }
      }
    }
  }
}

TEST(Matmul, GivesTheSameBitsWhereARowTakesSeveralPanels) {
  for (const TensorTypeInfo& info : all_types()) {
    if (available_kernels().front()->act_format(info.type, 256, Precision::usual) != ActFormat::i8_32) continue;
    const std::int64_t n_cols = 3328 + info.block_elements;
    const Problem p(info, 37, n_cols, 35);
    for (const KernelTable* table : available_kernels()) {
      for (const Precision precision : {Precision::usual, Precision::fine}) {
        std::vector<float> one_by_one(p.expected.size(), NAN);
        for (std::int64_t t = 0; t < p.n_tokens; ++t) p.run(*table, precision, 0, p.n_rows, t, t + 1, one_by_one);
        for (const std::int64_t n_tokens : {8, 13, 16, 19, 35}) {
          std::vector<float> together(p.expected.size(), NAN);
          p.run(*table, precision, 0, 11, 0, n_tokens, together);
          p.run(*table, precision, 11, p.n_rows, 0, n_tokens, together);
          for (std::size_t i = 0; i < static_cast<std::size_t>(n_tokens * p.n_rows); ++i) {
            ASSERT_EQ(together[i], one_by_one[i])
                << table->name << " " << info.name << " precision " << static_cast<int>(precision) << " tokens "
                << n_tokens << " output " << i << " seed " << seed;
          }
        }
      }
    }
  }
}

TEST(Matmul, GivesTheSameBitsForChosenRowsOfManyTokens) {
  for (const TensorType type :
       {TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q4_0, TensorType::Q6_K}) {
    const TensorTypeInfo info = tensor_type_info(type);
    const std::int64_t n_cols = info.block_elements == 1 ? 1061 : 2 * info.block_elements;
    Problem p(info, 37, n_cols, 533);
    std::mt19937 random(seed);
    for (const KernelTable* table : available_kernels()) {
      for (const Precision precision : precisions_of(*table, info)) {
        p.act_rows.clear();
        p.out_rows.clear();
        std::vector<float> plain(p.expected.size(), NAN);
        p.run(*table, precision, 0, p.n_rows, 0, p.n_tokens, plain);
        for (std::int32_t t = 0; t < p.n_tokens; ++t) {
          p.act_rows.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(p.n_tokens)));
          p.out_rows.push_back(t);
        }
        std::shuffle(p.out_rows.begin(), p.out_rows.end(), random);
        for (const std::int64_t n_tokens : {1, 13, 30, 45, 533}) {
          std::vector<float> chosen(p.expected.size(), NAN);
          p.run(*table, precision, 0, p.n_rows, 0, n_tokens, chosen);
          for (std::int64_t t = 0; t < n_tokens; ++t) {
            for (std::int64_t r = 0; r < p.n_rows; ++r) {
              const auto at = static_cast<std::size_t>(t);
              ASSERT_EQ(chosen[static_cast<std::size_t>(p.out_rows[at] * p.n_rows + r)],
                        plain[static_cast<std::size_t>(p.act_rows[at] * p.n_rows + r)])
                  << table->name << " " << info.name << " precision " << static_cast<int>(precision) << " tokens "
                  << n_tokens << " output " << t << "," << r << " seed " << seed;
            }
          }
        }
        std::vector<float> one_by_one(p.expected.size(), NAN);
        p.act_rows.clear();
        p.out_rows.clear();
        for (std::int64_t t = 0; t < p.n_tokens; ++t) p.run(*table, precision, 0, p.n_rows, t, t + 1, one_by_one);
        ASSERT_EQ(plain, one_by_one) << table->name << " " << info.name << " precision " << static_cast<int>(precision)
                                     << " seed " << seed;
      }
    }
  }
}

TEST(Matmul, GivesTheSameBitsForStreamsAtAnyDistance) {
  // Some of these runs are multiples of 4 KB apart.
  const TensorTypeInfo info = tensor_type_info(TensorType::Q4_0);
  for (const std::int64_t run : {227, 228, 455, 456}) {
    const Problem p(info, 16 * run + 5, 32, 9);
    for (const KernelTable* table : available_kernels()) {
      std::vector<float> parts(p.expected.size(), NAN);
      for (std::int64_t r = 0; r < p.n_rows; r += 100) {
        p.run(*table, Precision::usual, r, std::min(p.n_rows, r + 100), 0, p.n_tokens, parts);
      }
      for (const std::int64_t n_tokens : {1, 9}) {
        std::vector<float> whole(p.expected.size(), NAN);
        p.run(*table, Precision::usual, 0, p.n_rows, 0, n_tokens, whole);
        for (std::size_t i = 0; i < static_cast<std::size_t>(n_tokens * p.n_rows); ++i) {
          ASSERT_EQ(whole[i], parts[i]) << table->name << " run " << run << " output " << i << " seed " << seed;
        }
      }
    }
  }
}

TEST(Matmul, EqualsTheProductForExtremeWeights) {
  for (const KernelTable* table : available_kernels()) {
    for (const TensorTypeInfo& info : all_types()) {
      if (info.type == TensorType::F32) continue;
      const std::int64_t n_cols = info.block_elements == 1 ? 64 : 2 * info.block_elements;
      Problem p(info, 37, n_cols, 19, Blocks::extreme);
      std::mt19937 random(seed);
      p.set_act(exact_in_int8(p.act.size(), random));
      std::vector<float> row(static_cast<std::size_t>(n_cols));
      for (const Precision precision : precisions_of(*table, info)) {
        std::vector<float> out(p.expected.size(), NAN);
        p.run(*table, precision, 0, p.n_rows, 0, p.n_tokens, out);
        for (std::int64_t r = 0; r < p.n_rows; ++r) {
          decode_row(info.type, p.row_begin(r), row.data(), n_cols);
          double largest = 0;
          for (const float w : row) largest = std::max(largest, std::fabs(static_cast<double>(w)));
          for (std::int64_t t = 0; t < p.n_tokens; ++t) {
            double acts = 0;
            for (std::int64_t k = 0; k < n_cols; ++k)
              acts += std::fabs(p.act[static_cast<std::size_t>(t * n_cols + k)]);
            const std::size_t i = static_cast<std::size_t>(t * p.n_rows + r);
            // Scales and minima may cancel within a weight, so the bound is on the largest product; denormals may
            // count as zero.
            ASSERT_NEAR(out[i], p.expected[i], 2e-6 * largest * acts + 1e-35 * acts)
                << table->name << " " << info.name << " precision " << static_cast<int>(precision) << " output " << t
                << "," << r << " seed " << seed;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace llm::kernels
