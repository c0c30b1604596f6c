// Kernels on one thread: products of weights with activations, quantisers, attention.
//
//   bench_kernels --benchmark_filter='matvec/.*'    one token: GB/s of weights, and as a share of the read bandwidth
//   bench_kernels --benchmark_filter='matmat/.*'    256 tokens: GFLOP/s
//   bench_kernels --benchmark_filter='encode/.*'    quantisers: GB/s of float input
//   bench_kernels --benchmark_filter='attend/.*'    one query of 6 heads over 4096 keys: GB/s of keys and values
//   LLM_BENCH_SMALL=1 bench_kernels                 as little as shows that all of them run
//
// Every instruction set of the machine is measured: matvec/<type>/<set>.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tensor_type.h"
#include "kernels/kernels.h"

namespace llm::kernels {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::byte> random_bytes(std::size_t n, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes((n + 71) / 8 * 8);
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    // No half-precision or float exponent of all ones, no matter where a scale lies.
    const std::uint64_t word = random() & 0x3f3f3f3f3f3f3f3fu;
    std::memcpy(bytes.data() + i, &word, sizeof word);
  }
  return bytes;
}

// Bytes read per second by one thread from memory that no cache holds.
double read_bandwidth() {
  static const double best = [] {
    const std::vector<std::byte> bytes = random_bytes(std::size_t{256} << 20, 1);
    double rate = 0;
    for (int run = 0; run < 3; ++run) {
      const auto begin = Clock::now();
      std::uint64_t sum[8] = {};
      for (std::size_t i = 0; i + 64 <= bytes.size(); i += 64) {
        std::uint64_t words[8];
        std::memcpy(words, bytes.data() + i, sizeof words);
        for (int j = 0; j < 8; ++j) sum[j] += words[j];
      }
      benchmark::DoNotOptimize(sum);
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      rate = std::max(rate, static_cast<double>(bytes.size()) / seconds);
    }
    return rate;
  }();
  return best;
}

// Random rows of a type without scales so small that products are denormal.
std::vector<std::byte> random_rows(TensorType type, std::int64_t n_rows, std::int64_t n_cols) {
  std::vector<std::byte> bytes =
      random_bytes(tensor_row_bytes(type, static_cast<std::uint64_t>(n_cols)) * static_cast<std::size_t>(n_rows), 2);
  const std::size_t n = static_cast<std::size_t>(n_rows * n_cols);
  if (type == TensorType::F32) {
    for (std::size_t i = 0; i < n; ++i) bytes[4 * i + 3] = std::byte{0x3e};
  } else if (type == TensorType::BF16) {
    for (std::size_t i = 0; i < n; ++i) bytes[2 * i + 1] = std::byte{0x3e};
  } else if (type == TensorType::MXFP4) {
    for (std::size_t i = 0; i < n / 32; ++i) bytes[17 * i] = std::byte{0x7c};
  }
  return bytes;
}

struct Buffers {
  std::vector<std::byte> weight, act, scratch;
  std::vector<float> out;
  MatmulTask task;

  Buffers(const KernelTable& table, TensorType type, std::int64_t n_rows, std::int64_t n_cols, std::int64_t n_tokens) {
    weight = random_rows(type, n_rows, n_cols);
    task.weight = weight.data();
    task.type = type;
    task.n_cols = n_cols;
    task.row_end = n_rows;
    task.format = table.act_format(type, n_cols, Precision::usual);
    const std::size_t act_bytes = table.act_row_bytes(task.format, n_cols);
    act.resize(act_bytes * static_cast<std::size_t>(n_tokens));
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> row(static_cast<std::size_t>(n_cols));
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      for (float& x : row) x = normal(random);
      table.pack_act(task.format, row.data(), n_cols, act.data() + static_cast<std::size_t>(t) * act_bytes);
    }
    task.act = act.data();
    task.n_tokens = n_tokens;
    out.resize(static_cast<std::size_t>(n_rows * n_tokens));
    task.out = out.data();
    task.out_stride = n_rows;
    scratch.resize(table.matmul_scratch_bytes(type, n_cols) + 64);
    const auto misaligned = reinterpret_cast<std::uintptr_t>(scratch.data()) % 64;
    task.scratch = scratch.data() + (64 - misaligned) % 64;
  }
};

// How much work a run gets.
struct Size {
  std::int64_t matvec_bytes = std::int64_t{64} << 20;
  std::int64_t matmat_rows = 768;
  std::int64_t n_tokens = 256;
  std::int64_t n_keys = 4096;
  std::size_t n_weights = 64 * 1024;
  bool compares_bandwidth = true;
};
constexpr Size small = {std::int64_t{1} << 16, 32, 20, 512, 1024, false};

void matvec(benchmark::State& state, const KernelTable& table, TensorType type, const Size& size) {
  const std::int64_t n_cols = 1536;
  const std::int64_t row_bytes = static_cast<std::int64_t>(tensor_row_bytes(type, 1536));
  const std::int64_t n_rows = size.matvec_bytes / row_bytes;
  const Buffers buffers(table, type, n_rows, n_cols, 1);
  for (auto _ : state) {
    table.matmul(buffers.task);
    benchmark::ClobberMemory();
  }
  const double bytes = static_cast<double>(n_rows * row_bytes) * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(bytes / 1e9, benchmark::Counter::kIsRate);
  if (!size.compares_bandwidth) return;
  state.counters["of_read_bandwidth"] = benchmark::Counter(bytes / read_bandwidth(), benchmark::Counter::kIsRate);
}

void matmat(benchmark::State& state, const KernelTable& table, TensorType type, std::int64_t n_tokens,
            std::int64_t n_rows) {
  const std::int64_t n_cols = 1536;
  const Buffers buffers(table, type, n_rows, n_cols, n_tokens);
  for (auto _ : state) {
    table.matmul(buffers.task);
    benchmark::ClobberMemory();
  }
  const double flop = 2.0 * static_cast<double>(n_rows * n_cols * n_tokens) * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(flop / 1e9, benchmark::Counter::kIsRate);
}

void pack(benchmark::State& state, const KernelTable& table, ActFormat format) {
  std::vector<float> row(8192);
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  for (float& x : row) x = normal(random);
  std::vector<std::byte> packed(table.act_row_bytes(format, 8192));
  for (auto _ : state) {
    table.pack_act(format, row.data(), 8192, packed.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * 8192 * 4);
}

// n_rows query positions of a key/value head with 6 query heads of 128 entries.
void attend(benchmark::State& state, const KernelTable& table, TensorType type, std::int64_t n_rows, const Size& size) {
  constexpr std::int64_t n_heads = 6, dim = 128, block_tokens = 256;
  const std::int64_t n_queries = n_rows * n_heads;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  std::vector<float> q(static_cast<std::size_t>(n_queries * dim));
  for (float& x : q) x = normal(random);
  const std::size_t half = tensor_row_bytes(type, dim) * block_tokens;
  std::vector<std::vector<std::byte>> memory;
  std::vector<std::byte*> blocks;
  std::vector<float> row(dim);
  for (std::int64_t begin = 0; begin < size.n_keys; begin += block_tokens) {
    memory.emplace_back(2 * half);
    blocks.push_back(memory.back().data());
    for (std::int64_t at = 0; at < block_tokens; ++at) {
      for (float& x : row) x = normal(random);
      table.attention.store_key(type, row.data(), dim, blocks.back(), at);
      table.attention.store_row(type, row.data(), dim,
                                blocks.back() + half + static_cast<std::size_t>(at) * tensor_row_bytes(type, dim));
    }
  }
  std::vector<float> out(q.size());
  std::vector<float> best(static_cast<std::size_t>(n_queries)), total(best.size());
  std::vector<float> scratch(static_cast<std::size_t>(table.attention.scratch_floats(n_queries, dim, dim)));
  AttentionTask task;
  task.q = q.data();
  task.q_head_stride = dim;
  task.q_row_stride = n_heads * dim;
  task.n_rows = n_rows;
  task.n_heads = n_heads;
  task.position = size.n_keys - 1;
  task.rule.scale = 0.1f;
  task.blocks = blocks.data();
  task.block_tokens = block_tokens;
  task.value_offset = half;
  task.key_type = task.value_type = type;
  task.key_dim = task.value_dim = dim;
  task.scratch = scratch.data();
  task.out = out.data();
  task.best = best.data();
  task.total = total.data();
  for (auto _ : state) {
    for (task.span = 0; task.span < size.n_keys / attention_span; ++task.span) table.attention.span(task);
    benchmark::ClobberMemory();
  }
  const double bytes = static_cast<double>(2 * half) * static_cast<double>(blocks.size());
  state.counters["GB/s"] =
      benchmark::Counter(bytes * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
  const double operations = 4.0 * static_cast<double>(n_queries * size.n_keys * dim);
  state.counters["GFLOP/s"] =
      benchmark::Counter(operations * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

void encode(benchmark::State& state, const KernelTable& table, TensorType type, const Size& size) {
  std::vector<float> weights(size.n_weights);
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.02f);
  for (float& x : weights) x = normal(random);
  std::vector<std::byte> bytes(tensor_row_bytes(type, weights.size()));
  for (auto _ : state) {
    table.encode_row(type, weights.data(), bytes.data(), static_cast<std::int64_t>(weights.size()));
    benchmark::ClobberMemory();
  }
  const double input = static_cast<double>(weights.size() * sizeof(float)) * static_cast<double>(state.iterations());
  state.counters["float GB/s"] = benchmark::Counter(input / 1e9, benchmark::Counter::kIsRate);
}

void register_all(const Size& size) {
  for (const KernelTable* table : available_kernels()) {
    const std::string set = table->name;
    for (const TensorTypeInfo& info : tensor_type_infos) {
      if (info.type >= TensorType::I8 && info.type <= TensorType::F64) continue;
      const TensorType type = info.type;
      const std::string name = std::string(info.name) + "/" + set;
      benchmark::RegisterBenchmark(("matvec/" + name).c_str(), [table, type, size](benchmark::State& state) {
        matvec(state, *table, type, size);
      })->Unit(benchmark::kMillisecond);
      benchmark::RegisterBenchmark(("matmat/" + name).c_str(), [table, type, size](benchmark::State& state) {
        matmat(state, *table, type, size.n_tokens, size.matmat_rows);
      })->Unit(benchmark::kMillisecond);
      // A step of sixteen sequences: weights in the cache, and from memory.
      benchmark::RegisterBenchmark(("matmat_16/" + name).c_str(), [table, type, size](benchmark::State& state) {
        matmat(state, *table, type, 16, size.matmat_rows);
      })->Unit(benchmark::kMillisecond);
      benchmark::RegisterBenchmark(("matmat_16_memory/" + name).c_str(), [table, type, size](benchmark::State& state) {
        matmat(state, *table, type, 16, size.matvec_bytes / static_cast<std::int64_t>(tensor_row_bytes(type, 1536)));
      })->Unit(benchmark::kMillisecond);
      if (!table->encode_row(type, nullptr, nullptr, 0)) continue;
      benchmark::RegisterBenchmark(("encode/" + name).c_str(),
                                   [table, type, size](benchmark::State& state) { encode(state, *table, type, size); });
    }
    for (const auto& [format, name] : {std::pair{ActFormat::f32, "f32/"}, std::pair{ActFormat::i8_32, "i8_32/"},
                                       std::pair{ActFormat::i10_32, "i8x2_32/"}}) {
      benchmark::RegisterBenchmark((std::string("pack/") + name + set).c_str(),
                                   [table, format = format](benchmark::State& state) { pack(state, *table, format); });
    }
    for (const TensorType type :
         {TensorType::F32, TensorType::F16, TensorType::BF16, TensorType::Q8_0, TensorType::Q4_0}) {
      const std::string name = std::string(tensor_type_info(type).name) + "/" + set;
      for (const auto& [kind, n_rows] : {std::pair{"attend/", 1}, std::pair{"attend_rows/", 8}}) {
        benchmark::RegisterBenchmark((kind + name).c_str(),
                                     [table, type, n_rows = n_rows, size](benchmark::State& state) {
                                       attend(state, *table, type, n_rows, size);
                                     });
      }
    }
  }
}

}  // namespace
}  // namespace llm::kernels

int main(int argc, char** argv) {
  const bool is_small = std::getenv("LLM_BENCH_SMALL") != nullptr;
  llm::kernels::register_all(is_small ? llm::kernels::small : llm::kernels::Size{});
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
