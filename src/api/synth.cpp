#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <llm/files.hpp>
#include <map>
#include <span>
#include <vector>

#include "api/weight_recipe.h"
#include "formats/gguf_writer.h"
#include "kernels/quantize.h"

namespace llm {
inline namespace v1 {

namespace {

struct Shape {
  std::string_view name;
  std::int64_t n_embd, n_ff, n_layer, n_head, n_head_kv, head_dim, n_vocab;
  bool tied;
};

// Shapes of published models of these sizes.
constexpr Shape shapes[] = {
    {"tiny", 256, 768, 4, 8, 4, 32, 1024, true},         {"135m", 576, 1536, 30, 9, 3, 64, 49152, true},
    {"0.5b", 896, 4864, 24, 14, 2, 64, 151936, true},    {"1b", 2048, 8192, 16, 32, 8, 64, 128256, true},
    {"1.5b", 1536, 8960, 28, 12, 2, 128, 151936, true},  {"3b", 3072, 8192, 28, 24, 8, 128, 128256, true},
    {"7b", 4096, 11008, 32, 32, 32, 128, 32000, false},  {"8b", 4096, 14336, 32, 32, 8, 128, 128256, false},
    {"13b", 5120, 13824, 40, 40, 40, 128, 32000, false}, {"70b", 8192, 28672, 80, 64, 8, 128, 128256, false},
};

struct Kind {
  std::string_view name, gguf;
  bool qkv_bias, qk_norm;
  std::int64_t n_expert, n_expert_used;
};

constexpr Kind kinds[] = {
    {"llama", "llama", false, false, 0, 0},
    {"qwen2", "qwen2", true, false, 0, 0},
    {"qwen3", "qwen3", false, true, 0, 0},
    {"mixtral", "llama", false, false, 8, 2},
};

template <class Table>
const auto& pick(const Table& table, const std::string& name, const char* what) {
  std::string names;
  for (const auto& entry : table) {
    if (entry.name == name) return entry;
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw Error(ErrorCode::usage, fmt::format("no {} '{}'; expected one of {}", what, name, names));
}

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// About normal with variance 1: twelve uniform numbers summed.
float next_normal(std::uint64_t& state) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<float>(next_random(state) >> 40) * 0x1p-24f;
  return sum;
}

// Rows of random weights. Encoding is slow, so each shape of row is encoded a few dozen times and drawn from then on.
class RandomRows {
 public:
  explicit RandomRows(std::uint64_t seed) : state_(seed) {}

  std::span<const std::byte> next(TensorType type, std::int64_t n_cols) {
    std::vector<std::vector<std::byte>>& pool = pools_[{type, n_cols}];
    if (pool.empty()) fill(pool, type, n_cols);
    return pool[next_random(state_) % pool.size()];
  }

 private:
  void fill(std::vector<std::vector<std::byte>>& pool, TensorType type, std::int64_t n_cols) {
    const float scale = 1 / std::sqrt(static_cast<float>(n_cols));
    std::vector<float> row(static_cast<std::size_t>(n_cols));
    for (int i = 0; i < 61; ++i) {
      for (float& x : row) x = scale * next_normal(state_);
      pool.emplace_back(tensor_row_bytes(type, static_cast<std::uint64_t>(n_cols)));
      kernels::encode_row(type, row.data(), pool.back().data(), n_cols);
    }
  }

  std::uint64_t state_;
  std::map<std::pair<TensorType, std::int64_t>, std::vector<std::vector<std::byte>>> pools_;
};

formats::GgufHeader header_of(const SynthOptions& options, const Shape& shape, const Kind& kind) {
  formats::GgufHeader header;
  const std::string a = std::string(kind.gguf) + ".";
  const auto u32 = [&](const std::string& key, std::int64_t value) {
    header.set_u32(key, static_cast<std::uint32_t>(value));
  };
  header.set_string("general.architecture", kind.gguf);
  header.set_string("general.name", fmt::format("random {} {}", options.architecture, options.preset));
  header.set_u32("general.quantization_version", 2);
  header.set_u32("general.file_type", api::find_weight_recipe(options.type).file_type);
  u32(a + "block_count", shape.n_layer);
  u32(a + "context_length", 32768);
  u32(a + "embedding_length", shape.n_embd);
  u32(a + "feed_forward_length", shape.n_ff);
  u32(a + "attention.head_count", shape.n_head);
  u32(a + "attention.head_count_kv", shape.n_head_kv);
  u32(a + "attention.key_length", shape.head_dim);
  u32(a + "attention.value_length", shape.head_dim);
  u32(a + "rope.dimension_count", shape.head_dim);
  u32(a + "vocab_size", shape.n_vocab);
  header.set_f32(a + "attention.layer_norm_rms_epsilon", 1e-5f);
  header.set_f32(a + "rope.freq_base", 500000.0f);
  if (kind.n_expert > 0) {
    u32(a + "expert_count", kind.n_expert);
    u32(a + "expert_used_count", kind.n_expert_used);
  }
  header.set_string("tokenizer.ggml.model", "none");
  return header;
}

void add_tensors(formats::GgufHeader& header, const Shape& s, const Kind& kind, const api::WeightRecipe& recipe) {
  const auto matrix = [&](const std::string& name, std::int64_t n_cols, std::int64_t n_rows,
                          std::int64_t n_stacked = 0) {
    std::vector<std::int64_t> extent = {n_cols, n_rows};
    if (n_stacked > 0) extent.push_back(n_stacked);
    header.add_tensor(name, api::recipe_type(recipe, name, n_cols, s.n_layer), extent);
  };
  const auto vector = [&](const std::string& name, std::int64_t n) {
    header.add_tensor(name, TensorType::F32, std::vector<std::int64_t>{n});
  };
  matrix("token_embd.weight", s.n_embd, s.n_vocab);
  for (std::int64_t i = 0; i < s.n_layer; ++i) {
    const std::string block = fmt::format("blk.{}.", i);
    const std::int64_t n_q = s.n_head * s.head_dim, n_kv = s.n_head_kv * s.head_dim;
    vector(block + "attn_norm.weight", s.n_embd);
    matrix(block + "attn_q.weight", s.n_embd, n_q);
    matrix(block + "attn_k.weight", s.n_embd, n_kv);
    matrix(block + "attn_v.weight", s.n_embd, n_kv);
    if (kind.qkv_bias) {
      vector(block + "attn_q.bias", n_q);
      vector(block + "attn_k.bias", n_kv);
      vector(block + "attn_v.bias", n_kv);
    }
    if (kind.qk_norm) {
      vector(block + "attn_q_norm.weight", s.head_dim);
      vector(block + "attn_k_norm.weight", s.head_dim);
    }
    matrix(block + "attn_output.weight", n_q, s.n_embd);
    vector(block + "ffn_norm.weight", s.n_embd);
    if (kind.n_expert > 0) {
      header.add_tensor(block + "ffn_gate_inp.weight", TensorType::F32,
                        std::vector<std::int64_t>{s.n_embd, kind.n_expert});
      matrix(block + "ffn_gate_exps.weight", s.n_embd, s.n_ff, kind.n_expert);
      matrix(block + "ffn_down_exps.weight", s.n_ff, s.n_embd, kind.n_expert);
      matrix(block + "ffn_up_exps.weight", s.n_embd, s.n_ff, kind.n_expert);
    } else {
      matrix(block + "ffn_gate.weight", s.n_embd, s.n_ff);
      matrix(block + "ffn_down.weight", s.n_ff, s.n_embd);
      matrix(block + "ffn_up.weight", s.n_embd, s.n_ff);
    }
  }
  vector("output_norm.weight", s.n_embd);
  if (!s.tied) matrix("output.weight", s.n_embd, s.n_vocab);
}

}  // namespace

std::vector<std::string> synth_presets() {
  std::vector<std::string> names;
  for (const Shape& shape : shapes) names.emplace_back(shape.name);
  return names;
}

void synthesize(const SynthOptions& options, const std::string& output, const FileProgress& progress) {
  const Shape& shape = pick(shapes, options.preset, "preset");
  const Kind& kind = pick(kinds, options.architecture, "architecture");
  const api::WeightRecipe& recipe = api::find_weight_recipe(options.type);
  formats::GgufHeader header = header_of(options, shape, kind);
  add_tensors(header, shape, kind, recipe);

  const std::vector<formats::GgufHeader::Tensor> tensors = header.tensors();
  const auto total = static_cast<double>(header.data_bytes());
  formats::GgufWriter writer(output, std::move(header));
  RandomRows rows(options.seed);
  std::vector<std::byte> buffer;
  for (const auto& tensor : tensors) {
    const std::int64_t n_cols = tensor.extent[0];
    const bool is_norm = tensor.name.ends_with("norm.weight");
    const std::vector<float> ones(is_norm ? static_cast<std::size_t>(n_cols) : 0, 1.0f);
    const std::uint64_t row_bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(n_cols));
    for (std::uint64_t done = 0; done < tensor.n_bytes; done += row_bytes) {
      const std::span<const std::byte> row = is_norm ? std::as_bytes(std::span(ones)) : rows.next(tensor.type, n_cols);
      buffer.insert(buffer.end(), row.begin(), row.end());
      if (buffer.size() < (std::size_t{4} << 20) && done + row_bytes < tensor.n_bytes) continue;
      writer.write(buffer);
      buffer.clear();
      if (progress && !progress(static_cast<double>(tensor.offset + done) / total)) {
        throw Error(ErrorCode::cancelled, "stopped; nothing was written");
      }
    }
  }
  writer.finish();
}

}  // namespace v1
}  // namespace llm
