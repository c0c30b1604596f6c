#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include "ops/ops.h"
#include "region.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int> n_allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) n_allocations.fetch_add(1, std::memory_order_relaxed);
  void* data = nullptr;
  if (posix_memalign(&data, alignment, bytes == 0 ? 1 : bytes) != 0) throw std::bad_alloc();
  return data;
}

}  // namespace

// Not inlined: else the compiler sees memory of one allocator given to another.
void* operator new(std::size_t bytes) {
  return counted(bytes, 16);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* data) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t) noexcept {
  std::free(data);
}

namespace llm::ops {
namespace {

// One layer of a decoder, then one of a state-space model, one of experts.
TEST(Ops, AllocateNothing) {
  constexpr std::int64_t n_embd = 64, n_ff = 96;
  constexpr int n_head = 4, n_kv = 2, dim = 16, n_experts = 4;
  const std::vector<float> weights = random_floats(8 * n_ff * n_embd, 1);
  const auto matrix = [&](std::int64_t n_out, std::int64_t n_in) {
    return WeightMatrix{reinterpret_cast<const std::byte*>(weights.data()), TensorType::F32, n_out, n_in};
  };
  const WeightMatrix wq = matrix(n_embd, n_embd), wk = matrix(n_kv * dim, n_embd), wv = wk, wo = wq;
  const WeightMatrix gate = matrix(n_ff, n_embd), up = gate, down = matrix(n_embd, n_ff),
                     router = matrix(n_experts, n_embd);
  const kernels::KernelTable& k = kernels::kernels();
  const std::vector<double> frequencies = {1, 0.1, 0.01};
  const AttentionSpec spec{.n_head = n_head, .scale = 0.25f};
  const KvLayout kv{
      .key_type = TensorType::F16, .value_type = TensorType::F16, .n_head_kv = n_kv, .key_dim = dim, .value_dim = dim};
  for (const int n_threads : {1, 2}) {
    Team team(n_threads, test_scratch_bytes);
    for (const std::int64_t n : {std::int64_t{1}, std::int64_t{20}}) {
      OwnedRows x(n, n_embd, 2), q(n, n_embd), key(n, n_kv * dim), value(n, n_kv * dim), mid(n, n_embd),
          hidden(n * 2, n_ff), result(n * 2, n_embd), logits(n, n_experts), dt(n, n_embd, 3);
      std::vector<std::byte> block(kv.block_bytes()), record(8 * n_embd * sizeof(float)),
          buffer(attention_buffer_bytes(spec, kv, n, 64)), memory(expert_choice_bytes(n, n_experts, 2)),
          packed(pack_buffer_bytes(k, n * 2, n_ff, n_threads));
      std::vector<float> table(static_cast<std::size_t>(n) * 6);
      std::byte* const blocks[] = {block.data()};
      const SequenceRows s{.n_rows = n, .blocks = blocks, .record = record.data()};
      const PackBuffer to{packed.data(), packed.size()};
      const Norm rms{kernels::NormKind::rms, weights.data(), nullptr, 1e-5f};
      const auto step = [&](const Worker& worker) {
        const Context c{worker, k};
        const RopeTable rope = fill_rope_table(c, {frequencies, 1}, {&s, 1}, table.data());
        const PackedRows in = norm_pack(c, x.rows, rms, InputFormats(c, {&wq, &wk, &wv}), to);
        matmul(c, in,
               {{.weight = &wq, .out = q.rows}, {.weight = &wk, .out = key.rows}, {.weight = &wv, .out = value.rows}});
        prepare_and_store(c, {.rows = q.rows, .n_head = n_head, .head_dim = dim, .rope = rope},
                          {.rows = key.rows, .n_head = n_kv, .head_dim = dim, .rope = rope}, value.rows, {&s, 1}, kv);
        attention(c, q.rows, spec, kv, {&s, 1}, {buffer.data(), buffer.size()}, mid.rows);
        matmul(c, pack(c, mid.rows, InputFormats(c, {&wo}), to), {{.weight = &wo, .out = x.rows, .add = true}});
        matmul_gated(c, norm_pack(c, x.rows, rms, InputFormats(c, {&gate, &up}), to),
                     {.gate = &gate, .up = &up, .out = hidden.rows.first(n)});
        matmul(c, pack(c, hidden.rows.first(n), InputFormats(c, {&down}), to),
               {{.weight = &down, .out = x.rows, .add = true}});
        const PackedRows routed = norm_pack(c, x.rows, rms, InputFormats(c, {&router, &gate}), to);
        matmul(c, routed, {{.weight = &router, .out = logits.rows}});
        const ExpertChoice choice = route(c, logits.rows, {.n_used = 2}, memory.data());
        const ExpertMatrices experts{gate, n_embd * 4}, experts_down{down, n_embd * 4};
        expert_gated(c, routed, choice, experts, experts, Gated{}, hidden.rows);
        expert_down(c, pack(c, hidden.rows, InputFormats(c, {&down}), to), choice, experts_down, result.rows);
        expert_sum(c, result.rows, choice, 1, x.rows);
        causal_conv(c, x.rows, {weights.data(), nullptr, 4, Activation::silu}, {&s, 1}, 0, mid.rows);
        linear_recurrent_unit(c, {mid.rows, mid.rows, dt.rows, weights.data(), mid.rows}, {&s, 1},
                              4 * n_embd * sizeof(float));
        softcap(c, x.rows, 3);
      };
      team.run(step);
      n_allocations = 0;
      counting = true;
      team.run(step);
      counting = false;
      EXPECT_EQ(n_allocations, 0) << n_threads << " threads, " << n << " rows";
    }
  }
}

}  // namespace
}  // namespace llm::ops
