#include "ops/rope.h"

#include <cmath>

#include "ops/work.h"

namespace llm::ops {

std::size_t rope_table_bytes(std::int64_t n_rows, std::int64_t n_rot) {
  return static_cast<std::size_t>(n_rows * n_rot) * sizeof(float);
}

RopeTable fill_rope_table(const Context& c, const RopeSpec& spec, Sequences sequences, float* memory) {
  c.enter(Operation::positions);
  const std::int64_t n_pairs = static_cast<std::int64_t>(spec.inverse_frequency.size());
  for (const SequenceRows& s : sequences) {
    const Worker::Part part = c.worker.part(s.n_rows);
    for (std::int64_t t = part.begin; t < part.end; ++t) {
      float* row = memory + (s.row_begin + t) * 2 * n_pairs;
      const double position = static_cast<double>(s.position + t);
      for (std::int64_t i = 0; i < n_pairs; ++i) {
        const double angle = position * spec.inverse_frequency[static_cast<std::size_t>(i)];
        row[i] = static_cast<float>(std::cos(angle) * spec.attention_factor);
        row[n_pairs + i] = static_cast<float>(std::sin(angle) * spec.attention_factor);
      }
    }
  }
  c.worker.sync();
  return {memory, 2 * n_pairs};
}

std::size_t KvLayout::key_head_offset(int head) const {
  return offset + key_row_bytes() * static_cast<std::size_t>(head) * static_cast<std::size_t>(block_tokens);
}

std::size_t KvLayout::value_head_offset(int head) const {
  if (values_in_keys) return key_head_offset(head);
  const std::size_t keys = key_row_bytes() * static_cast<std::size_t>(n_head_kv);
  return offset + (keys + value_row_bytes() * static_cast<std::size_t>(head)) * static_cast<std::size_t>(block_tokens);
}

bool is_kv_type(TensorType type) {
  return type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16 || type == TensorType::Q8_0 ||
         type == TensorType::Q4_0;
}

namespace {

void norm_in_place(const Context& c, const Norm& norm, float* x, std::int64_t n, std::int64_t weight_at) {
  c.k.rows.norm(norm.kind, x, n, norm.weight != nullptr ? norm.weight + weight_at : nullptr,
                norm.bias != nullptr ? norm.bias + weight_at : nullptr, norm.eps, x);
}

// Clamp and norm of whole rows; true if there was something to do.
bool prepare_rows(const Context& c, const Heads& heads) {
  if (heads.rows.data == nullptr || heads.norm_over != Heads::NormOver::row) return false;
  const Worker::Part part = c.worker.part(heads.rows.n_rows);
  for (std::int64_t i = part.begin; i < part.end; ++i) {
    float* row = heads.rows.row(i);
    if (heads.clamp > 0) c.k.rows.clamp(row, -heads.clamp, heads.clamp, heads.rows.n_cols, row);
    norm_in_place(c, heads.norm, row, heads.rows.n_cols, 0);
  }
  return true;
}

void prepare_head(const Context& c, const Heads& heads, std::int64_t row, int head) {
  float* x = heads.rows.row(row) + static_cast<std::int64_t>(head) * heads.head_dim;
  const bool by_head = heads.norm_over == Heads::NormOver::head;
  const std::int64_t weight_at = heads.norm_weight_per_head ? static_cast<std::int64_t>(head) * heads.head_dim : 0;
  if (heads.clamp > 0 && heads.norm_over != Heads::NormOver::row) {
    c.k.rows.clamp(x, -heads.clamp, heads.clamp, heads.head_dim, x);
  }
  if (by_head && !heads.norm_after_rope) norm_in_place(c, heads.norm, x, heads.head_dim, weight_at);
  if (heads.rope.data != nullptr) {
    const std::int64_t n_pairs = heads.rope.n_rot / 2;
    const float* cosines = heads.rope.data + row * heads.rope.n_rot;
    c.k.rows.rotate(heads.pairing == RopePairing::adjacent, cosines, cosines + n_pairs, n_pairs, x + heads.rope_begin);
  }
  if (by_head && heads.norm_after_rope) norm_in_place(c, heads.norm, x, heads.head_dim, weight_at);
  if (heads.scale != 1) c.k.rows.scale(x, heads.scale, heads.head_dim, x);
}

void store_key(const Context& c, const KvLayout& kv, std::byte* block, int head, std::int64_t at, const float* x) {
  std::byte* keys = block + kv.key_head_offset(head);
  if (kv.values_in_keys) {
    c.k.attention.store_row(kv.key_type, x, kv.key_dim, keys + kv.key_row_bytes() * static_cast<std::size_t>(at));
  } else {
    c.k.attention.store_key(kv.key_type, x, kv.key_dim, keys, at);
  }
}

void store_value(const Context& c, const KvLayout& kv, std::byte* block, int head, std::int64_t at, const float* x) {
  std::byte* values = block + kv.value_head_offset(head);
  c.k.attention.store_row(kv.value_type, x, kv.value_dim, values + kv.value_row_bytes() * static_cast<std::size_t>(at));
}

}  // namespace

void prepare_and_store(const Context& c, const Heads& q, const Heads& k, Rows v, Sequences sequences,
                       const KvLayout& kv) {
  c.enter(Operation::keys_values);
  const bool normed_q = prepare_rows(c, q);
  const bool normed_k = prepare_rows(c, k);
  if (normed_q || normed_k) c.worker.sync();
  const int n_q = q.rows.data != nullptr ? q.n_head : 0;
  const int n_k = k.rows.data != nullptr ? k.n_head : 0;
  const int n_v = v.data != nullptr && !kv.values_in_keys ? kv.n_head_kv : 0;
  const int n_heads = n_q + n_k + n_v;
  for (const SequenceRows& s : sequences) {
    const Worker::Part part = c.worker.part(s.n_rows * n_heads);
    for (std::int64_t item = part.begin; item < part.end; ++item) {
      const std::int64_t t = item / n_heads;
      const std::int64_t row = s.row_begin + t;
      int head = static_cast<int>(item % n_heads);
      if (head < n_q) {
        prepare_head(c, q, row, head);
        continue;
      }
      head -= n_q;
      const std::int64_t position = s.position + t;
      std::byte* block = s.blocks[position / kv.block_tokens];
      const std::int64_t at = position % kv.block_tokens;
      if (head < n_k) {
        prepare_head(c, k, row, head);
        store_key(c, kv, block, head, at, k.rows.row(row) + static_cast<std::int64_t>(head) * k.head_dim);
      } else {
        head -= n_k;
        store_value(c, kv, block, head, at, v.row(row) + static_cast<std::int64_t>(head) * kv.value_dim);
      }
    }
  }
  c.worker.sync();
}

void prepare_heads(const Context& c, const Heads& heads) {
  c.enter(Operation::keys_values);
  if (prepare_rows(c, heads)) c.worker.sync();
  const Worker::Part part = c.worker.part(heads.rows.n_rows * heads.n_head);
  for (std::int64_t item = part.begin; item < part.end; ++item) {
    prepare_head(c, heads, item / heads.n_head, static_cast<int>(item % heads.n_head));
  }
  c.worker.sync();
}

}  // namespace llm::ops
