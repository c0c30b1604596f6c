#ifndef KERNELS_ATTENTION_KERNELS_H
#define KERNELS_ATTENTION_KERNELS_H

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

// Attention over one key/value head of a block cache: part of the KernelTable.
//
// How a head's keys lie in a block: in groups of 16 positions with the position running fastest, so that the lanes of a
// vector own positions and a score is one sum over the entries of the key in ascending order:
//   F32, F16, BF16: [group][key_dim][16]
//   Q8_0: [group][key_dim / 32] of { 16 half scales, int8 [32][16] }
//   Q4_0: [group][key_dim / 32] of { 16 half scales, nibbles [16 pairs of entries][16], the even entry low }
// Values lie row by row: F32, F16, BF16, Q8_0, Q4_0 rows as in files. Keys that serve as values too lie like values.
// Every form takes tensor_row_bytes a position.

namespace llm::kernels {

inline constexpr std::int64_t attention_group = 16;  // positions side by side in a group of keys
inline constexpr std::int64_t attention_span = 256;  // keys of one softmax pass; passes are joined in order

enum class Window : std::uint8_t {
  none,
  sliding,    // a key is seen from p if p - key < size
  chunked,    // if key / size == p / size
  symmetric,  // if |p - key| <= size / 2
};

// Which scores a query at position p may see and how they are made from q k.
struct ScoreRule {
  float scale = 1;
  float softcap = 0;
  bool causal = true;
  Window window = Window::none;
  std::int64_t window_size = 0;
  std::int64_t n_keys = 0;        // positions that exist
  const float* slopes = nullptr;  // [n_heads] of the tile
  const float* bias = nullptr;    // [n_heads, bias_width] of the tile, by key - p - bias_min, clamped
  std::int64_t bias_min = 0;
  std::int64_t bias_width = 0;
};

struct KeyRange {
  std::int64_t begin, end;
};

// A tile: n_rows consecutive positions x n_heads query heads, against the keys of one span.
// Query (r, h) is number r * n_heads + h in the arrays of results.
struct AttentionTask {
  const float* q = nullptr;
  std::int64_t q_row_stride = 0;   // floats from position to position
  std::int64_t q_head_stride = 0;  // from head to head
  std::int64_t n_rows = 0;
  std::int64_t n_heads = 0;
  std::int64_t position = 0;  // of row 0
  ScoreRule rule;

  std::byte* const* blocks = nullptr;
  std::int64_t block_tokens = 0;
  std::size_t key_offset = 0;    // of this head's keys in a block
  std::size_t value_offset = 0;  // of its values
  TensorType key_type = TensorType::F32;
  TensorType value_type = TensorType::F32;
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  bool keys_by_row = false;  // keys lie like values

  std::int64_t span = 0;        // keys [span * attention_span, (span + 1) * attention_span)
  std::int64_t next_span = -1;  // of the same keys, to be fetched meanwhile; none if it is not after `span`
  float* scratch = nullptr;     // attention_scratch_floats
  float* out = nullptr;         // [n_queries][padded_value_dim] sum of e^(score - best) * value
  float* best = nullptr;        // [n_queries] highest score, -infinity if none is seen
  float* total = nullptr;       // [n_queries] sum of e^(score - best)
};

struct AttentionKernels {
  // Floats of scratch for a tile.
  std::int64_t (*scratch_floats)(std::int64_t n_queries, std::int64_t key_dim, std::int64_t value_dim);
  void (*span)(const AttentionTask& task);
  // Joins a later span's results to those of all spans before: out, best, total of n_queries.
  void (*join)(std::int64_t n_queries, std::int64_t value_dim, const float* out, const float* best, const float* total,
               float* joined_out, float* joined_best, float* joined_total);
  // result = out / total of one query; with sink, a score that joins the total only.
  void (*finish)(const float* out, float best, float total, std::int64_t value_dim, const float* sink, float* result);
  // Writes a key of n entries at position `at` of its head's part of a block, or a value (or key by row).
  void (*store_key)(TensorType type, const float* x, std::int64_t n, std::byte* head, std::int64_t at);
  void (*store_row)(TensorType type, const float* x, std::int64_t n, std::byte* row);
};

// Floats from one query's out to the next.
constexpr std::int64_t padded_value_dim(std::int64_t value_dim) {
  return (value_dim + 15) / 16 * 16;
}

// Keys that the query at position p sees.
static inline KeyRange visible_keys(const ScoreRule& rule, std::int64_t p) {
  std::int64_t begin = 0;
  std::int64_t end = rule.causal ? p + 1 : rule.n_keys;
  switch (rule.window) {
    case Window::none:
      break;
    case Window::sliding:
      begin = p - rule.window_size + 1;
      break;
    case Window::chunked:
      begin = p / rule.window_size * rule.window_size;
      break;
    case Window::symmetric:
      begin = p - rule.window_size / 2;
      if (p + rule.window_size / 2 + 1 < end) end = p + rule.window_size / 2 + 1;
      break;
  }
  if (begin < 0) begin = 0;
  if (end < begin) end = begin;
  return {begin, end};
}

}  // namespace llm::kernels

#endif
