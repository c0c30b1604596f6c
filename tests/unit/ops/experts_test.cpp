#include "ops/experts.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include <gtest/gtest.h>

#include "region.h"

namespace llm::ops {
namespace {

using kernels::KernelTable;

struct Chosen {
  std::vector<std::int32_t> expert;
  std::vector<double> weight;
};

// By the definition, in double precision and without any sharing of code.
Chosen choose(const Router& router, const float* logits, int n) {
  std::vector<double> score(logits, logits + n);
  if (router.score == Router::Score::sigmoid) {
    for (double& s : score) s = 1 / (1 + std::exp(-s));
  }
  if (router.score == Router::Score::softmax) {
    double sum = 0;
    for (double& s : score) sum += s = std::exp(s);
    for (double& s : score) s /= sum;
  }
  std::vector<double> by = score;
  for (int i = 0; i < n && router.correction_bias != nullptr; ++i)
    by[static_cast<std::size_t>(i)] += router.correction_bias[i];
  if (router.n_groups > 1) {
    const int size = n / router.n_groups;
    std::vector<std::pair<double, int>> groups;
    for (int g = 0; g < router.n_groups; ++g) {
      std::vector<double> members(by.begin() + g * size, by.begin() + (g + 1) * size);
      std::sort(members.rbegin(), members.rend());
      groups.emplace_back(router.group_by_best_two ? members[0] + members[1] : members[0], g);
    }
    std::sort(groups.rbegin(), groups.rend());
    for (std::size_t i = static_cast<std::size_t>(router.n_groups_used); i < groups.size(); ++i) {
      std::fill_n(by.begin() + groups[i].second * size, size, -1e30);
    }
  }
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return by[static_cast<std::size_t>(a)] > by[static_cast<std::size_t>(b)]; });
  order.resize(static_cast<std::size_t>(router.n_used));
  Chosen chosen{order, {}};
  for (const int e : order) chosen.weight.push_back(score[static_cast<std::size_t>(e)]);
  if (router.softmax_of_chosen) {
    double sum = 0;
    for (double& w : chosen.weight) sum += w = std::exp(w);
    for (double& w : chosen.weight) w /= sum;
  }
  if (router.normalize) {
    const double sum = std::accumulate(chosen.weight.begin(), chosen.weight.end(), 0.0);
    for (double& w : chosen.weight)
      w /= std::max(sum + static_cast<double>(router.sum_offset), static_cast<double>(router.sum_min));
  }
  for (double& w : chosen.weight) w *= static_cast<double>(router.scale);
  return chosen;
}

TEST(Router, FollowsEveryFamilysRule) {
  constexpr int n_experts = 12, n_rows = 33;
  const std::vector<float> bias = random_floats(n_experts, 5, 0.2f);
  std::vector<Router> routers;
  for (const auto score : {Router::Score::softmax, Router::Score::sigmoid, Router::Score::raw}) {
    Router plain{.score = score, .n_used = 3};
    routers.push_back(plain);
    Router normalized = plain;
    normalized.normalize = true;
    normalized.sum_offset = 1e-20f;
    normalized.scale = 2.5f;
    routers.push_back(normalized);
    Router corrected = normalized;
    corrected.correction_bias = bias.data();
    corrected.n_groups = 4;
    corrected.n_groups_used = 2;
    corrected.group_by_best_two = true;
    routers.push_back(corrected);
    Router limited = plain;
    limited.n_groups = 3;
    limited.n_groups_used = 1;
    routers.push_back(limited);
    Router floor = plain;
    floor.normalize = true;
    floor.sum_min = 0.9f;
    routers.push_back(floor);
    Router late = plain;
    late.softmax_of_chosen = true;
    routers.push_back(late);
  }
  const OwnedRows logits(n_rows, n_experts, 6);
  for (std::size_t which = 0; which < routers.size(); ++which) {
    const Router& router = routers[which];
    for (const KernelTable* k : kernels::available_kernels()) {
      for (const int n_threads : {1, 3}) {
        for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{n_rows}}) {
          std::vector<std::byte> memory(expert_choice_bytes(rows, n_experts, router.n_used));
          ExpertChoice choice;
          run_region(*k, n_threads, [&](const Context& c) {
            const ExpertChoice mine = route(c, logits.rows.first(rows), router, memory.data());
            if (c.worker.id == 0) choice = mine;
          });
          ASSERT_EQ(choice.n_pairs, rows * router.n_used);
          for (std::int64_t t = 0; t < rows; ++t) {
            const Chosen expected = choose(router, logits.rows.row(t), n_experts);
            for (int slot = 0; slot < router.n_used; ++slot) {
              const std::int64_t pair = t * router.n_used + slot;
              ASSERT_EQ(choice.expert[pair], expected.expert[static_cast<std::size_t>(slot)])
                  << "router " << which << ", row " << t;
              ASSERT_NEAR(choice.weight[pair], expected.weight[static_cast<std::size_t>(slot)], 2e-6);
            }
          }
          std::vector<int> seen(static_cast<std::size_t>(choice.n_pairs));
          ASSERT_EQ(choice.begin[0], 0);
          ASSERT_EQ(choice.begin[n_experts], choice.n_pairs);
          for (int e = 0; e < n_experts; ++e) {
            for (std::int32_t i = choice.begin[e]; i < choice.begin[e + 1]; ++i) {
              const std::int32_t pair = choice.pairs[i];
              ASSERT_EQ(choice.expert[pair], e);
              ASSERT_EQ(choice.rows[i], pair / router.n_used);
              if (i > choice.begin[e]) {
                ASSERT_GT(pair, choice.pairs[i - 1]);
              }
              ++seen[static_cast<std::size_t>(pair)];
            }
          }
          ASSERT_TRUE(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
        }
      }
    }
  }
}

// A whole layer of experts against its definition; the same bits for every cut and thread count.
TEST(Experts, GatherMultiplyAndSumInSlotOrder) {
  constexpr int n_experts = 5, n_used = 2;
  constexpr std::int64_t n_rows = 21, n_embd = 40, n_ff = 36;
  const OwnedRows x(n_rows, n_embd, 1, 0.5f), logits(n_rows, n_experts, 2), start(n_rows, n_embd, 3);
  const std::vector<float> gate = random_floats(n_experts * n_ff * n_embd, 4),
                           up = random_floats(n_experts * n_ff * n_embd, 5),
                           down = random_floats(n_experts * n_embd * n_ff, 6),
                           bias = random_floats(n_experts * n_embd, 7);
  const auto matrices = [](const std::vector<float>& data, std::int64_t n_out, std::int64_t n_in) {
    ExpertMatrices m;
    m.first = {reinterpret_cast<const std::byte*>(data.data()), TensorType::F32, n_out, n_in};
    m.stride_bytes = n_out * n_in * static_cast<std::int64_t>(sizeof(float));
    return m;
  };
  const ExpertMatrices gates = matrices(gate, n_ff, n_embd), ups = matrices(up, n_ff, n_embd);
  ExpertMatrices downs = matrices(down, n_embd, n_ff);
  downs.bias = bias.data();
  downs.bias_stride = n_embd;
  const Router router{.score = Router::Score::softmax, .n_used = n_used, .normalize = true};
  for (const bool gated : {true, false}) {
    std::vector<double> expected;
    for (std::int64_t t = 0; t < n_rows; ++t) {
      const Chosen chosen = choose(router, logits.rows.row(t), n_experts);
      std::vector<double> sum(start.rows.row(t), start.rows.row(t) + n_embd);
      for (std::size_t slot = 0; slot < n_used; ++slot) {
        const std::size_t e = static_cast<std::size_t>(chosen.expert[slot]);
        const auto product = [&](const std::vector<float>& w, std::int64_t r) {
          double s = 0;
          for (std::int64_t i = 0; i < n_embd; ++i)
            s += static_cast<double>(
                     w[(e * n_ff + static_cast<std::size_t>(r)) * n_embd + static_cast<std::size_t>(i)]) *
                 x.at(t, i);
          return s;
        };
        std::vector<double> hidden;
        for (std::int64_t r = 0; r < n_ff; ++r) {
          const double g = gated ? product(gate, r) : product(up, r);
          hidden.push_back(g / (1 + std::exp(-g)) * (gated ? product(up, r) : 1));
        }
        for (std::size_t r = 0; r < n_embd; ++r) {
          double s = bias[e * n_embd + r];
          for (std::size_t i = 0; i < n_ff; ++i)
            s += static_cast<double>(down[(e * n_embd + r) * n_ff + i]) * hidden[i];
          sum[r] += 0.5 * chosen.weight[slot] * s;
        }
      }
      expected.insert(expected.end(), sum.begin(), sum.end());
    }
    for (const KernelTable* k : kernels::available_kernels()) {
      std::vector<float> first;
      for (const int n_threads : {1, 2, 4}) {
        for (const std::int64_t chunk : {n_rows, std::int64_t{1}, std::int64_t{5}}) {
          OwnedRows out(n_rows, n_embd), hidden(chunk * n_used, n_ff), result(chunk * n_used, n_embd);
          out.data = start.data;
          out.rows.data = out.data.data();
          std::vector<std::byte> memory(expert_choice_bytes(chunk, n_experts, n_used));
          std::vector<std::byte> in_memory(pack_buffer_bytes(*k, chunk, n_embd, n_threads));
          std::vector<std::byte> hidden_memory(pack_buffer_bytes(*k, chunk * n_used, n_ff, n_threads));
          run_region(*k, n_threads, [&](const Context& c) {
            for (std::int64_t at = 0; at < n_rows; at += chunk) {
              const std::int64_t n = std::min(chunk, n_rows - at);
              const auto rows = [&](const Rows& all) { return Rows{all.row(at), n, all.n_cols, all.stride}; };
              const ExpertChoice choice = route(c, rows(logits.rows), router, memory.data());
              const PackedRows in =
                  pack(c, rows(x.rows), InputFormats(c, {&ups.first}), {in_memory.data(), in_memory.size()});
              expert_gated(c, in, choice, gated ? gates : ExpertMatrices{}, ups, Gated{}, hidden.rows);
              const PackedRows mid = pack(c, hidden.rows.first(choice.n_pairs), InputFormats(c, {&downs.first}),
                                          {hidden_memory.data(), hidden_memory.size()});
              expert_down(c, mid, choice, downs, result.rows);
              expert_sum(c, result.rows, choice, 0.5f, rows(out.rows));
            }
          });
          if (first.empty()) {
            first = out.data;
            for (std::size_t i = 0; i < first.size(); ++i) {
              ASSERT_NEAR(first[i], expected[i], 3e-5 * (1 + std::abs(expected[i]))) << k->name;
            }
          }
          ASSERT_EQ(0, std::memcmp(first.data(), out.data.data(), first.size() * sizeof(float)))
              << k->name << ", " << n_threads << " threads, chunks of " << chunk;
        }
      }
    }
  }
}

}  // namespace
}  // namespace llm::ops
