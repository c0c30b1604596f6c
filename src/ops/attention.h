#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H

#include "ops/rope.h"

namespace llm::ops {

using WindowKind = kernels::Window;

struct AttentionSpec {
  int n_head = 0;  // query heads; head h reads key/value head h / (n_head / n_head_kv)
  float scale = 1;
  bool causal = true;  // false: keys [0, n_keys) of the sequence
  WindowKind window_kind = WindowKind::none;
  std::int64_t window = 0;
  float softcap = 0;                    // score = cap * tanh(score / cap); 0: not
  const float* sinks = nullptr;         // [n_head] a score that joins the softmax without a value
  const float* alibi_slopes = nullptr;  // [n_head] score += slope * (key - position), after the scale
  // Score bias by distance: bias[h * bias_width + clamp(key - position, bias_min, bias_min + bias_width - 1) -
  // bias_min], added after the scale (T5).
  const float* position_bias = nullptr;
  std::int64_t bias_min = 0;
  std::int64_t bias_width = 0;
};

// Memory for the parts of long contexts, from the step's arena; clear() before its first use.
struct AttentionBuffer {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
};
// For steps of up to n_rows rows and keys up to position n_keys - 1.
std::size_t attention_buffer_bytes(const AttentionSpec& spec, const KvLayout& kv, std::int64_t n_rows,
                                   std::int64_t n_keys);
void clear(AttentionBuffer buffer);
// Scratch of a worker.
std::size_t attention_scratch_bytes(const kernels::KernelTable& k, const AttentionSpec& spec, const KvLayout& kv);

// out[row, h * value_dim ..] = softmax(q k^T) v. q is [n_rows, n_head * key_dim], prepared; the rows' own keys and
// values are stored already. Barrier at the end.
void attention(const Context& c, Rows q, const AttentionSpec& spec, const KvLayout& kv, Sequences sequences,
               AttentionBuffer buffer, Rows out);

}  // namespace llm::ops

#endif
