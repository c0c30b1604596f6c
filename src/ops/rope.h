#ifndef OPS_ROPE_H
#define OPS_ROPE_H

#include "ops/matmul.h"

namespace llm::ops {

enum class RopePairing : std::uint8_t {
  halves,    // entry i with i + n_rot / 2
  adjacent,  // entry 2i with 2i + 1
};

// What determines the angles: position * inverse_frequency[i], i < n_rot / 2.
struct RopeSpec {
  std::span<const double> inverse_frequency;  // [n_rot / 2]
  double attention_factor = 1;                // multiplies cosines and sines (YaRN)
};

// Cosines and sines of a step's rows: [n_rows][n_rot / 2 cosines, n_rot / 2 sines].
struct RopeTable {
  const float* data = nullptr;
  std::int64_t n_rot = 0;
};
std::size_t rope_table_bytes(std::int64_t n_rows, std::int64_t n_rot);
// Once a step for each RopeSpec; layers share it. Barrier at the end.
RopeTable fill_rope_table(const Context& c, const RopeSpec& spec, Sequences sequences, float* memory);

// What happens to the heads of q or k between projection and attention, in place:
// clamp, norm, rope (or rope, norm), scale.
struct Heads {
  Rows rows = {};  // [n_rows, n_head * head_dim]
  int n_head = 0;
  int head_dim = 0;
  float clamp = 0;  // to [-clamp, clamp]; 0: not
  enum class NormOver : std::uint8_t { none, head, row };
  NormOver norm_over = NormOver::none;
  Norm norm = {};                     // head: weight [head_dim]; row: [n_head * head_dim]
  bool norm_weight_per_head = false;  // head: weight (and bias) [n_head, head_dim]
  bool norm_after_rope = false;       // head only
  RopeTable rope = {};                // no data: no rope
  RopePairing pairing = RopePairing::halves;
  int rope_begin = 0;  // first rotated entry of a head
  float scale = 1;
};

// Where one layer's keys and values lie in the blocks of a sequence. A block holds block_tokens positions; the layer's
// part begins at `offset`: keys [n_head_kv][block_tokens][key_dim], then values [n_head_kv][block_tokens][value_dim]. A
// block's bytes mean something to attention only; others copy whole blocks.
struct KvLayout {
  TensorType key_type = TensorType::F32;
  TensorType value_type = TensorType::F32;
  int n_head_kv = 0;
  int key_dim = 0;
  int value_dim = 0;
  int block_tokens = 64;  // a multiple of 32
  std::size_t offset = 0;
  bool values_in_keys = false;  // latent attention: a value is the first value_dim entries of its key; no V part

  std::size_t key_row_bytes() const { return tensor_row_bytes(key_type, static_cast<std::uint64_t>(key_dim)); }
  std::size_t value_row_bytes() const { return tensor_row_bytes(value_type, static_cast<std::uint64_t>(value_dim)); }
  // Bytes of the layer's part of a block.
  std::size_t block_bytes() const {
    const std::size_t row = key_row_bytes() + (values_in_keys ? 0 : value_row_bytes());
    return row * static_cast<std::size_t>(n_head_kv) * static_cast<std::size_t>(block_tokens);
  }
  // Where a head's keys and values begin in a block; how they lie there: kernels/attention_kernels.h.
  std::size_t key_head_offset(int head) const;
  std::size_t value_head_offset(int head) const;
};
// Types a cache may have, and widths: F32, F16, BF16 any; Q8_0, Q4_0 multiples of 32.
bool is_kv_type(TensorType type);

// Prepares the heads of q and k and stores k and v for the rows' positions. q without data: keys and values only (cross
// attention's source); k without data: q only (a layer that reads another layer's cache). One barrier at the end.
void prepare_and_store(const Context& c, const Heads& q, const Heads& k, Rows v, Sequences sequences,
                       const KvLayout& kv);
// The same for heads that go to no cache.
void prepare_heads(const Context& c, const Heads& heads);

}  // namespace llm::ops

#endif
