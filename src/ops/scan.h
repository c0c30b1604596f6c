#ifndef OPS_SCAN_H
#define OPS_SCAN_H

#include "ops/matmul.h"

// Recurrences over the rows of a sequence: sequential over tokens, split over channels or heads, so that any chunking
// gives the same result. The state of each sequence is floats at state_offset (bytes) of its record; it is read and
// left as of after the last row. Each operation ends with a barrier. Scratch of gated_delta: a row of value_dim.

namespace llm::ops {

// out[t][ch] = act(bias[ch] + sum_i weight[ch][i] x[t - width + 1 + i][ch]); out may not be x.
// State: the last width - 1 rows of x, [width - 1][n_channels].
struct CausalConv {
  const float* weight = nullptr;  // [n_channels][width]
  const float* bias = nullptr;    // [n_channels] or null
  int width = 0;                  // at most 16
  Activation activation = Activation::none;
};
void causal_conv(const Context& c, Rows x, const CausalConv& conv, Sequences sequences, std::size_t state_offset,
                 Rows out);

// Mamba: d = softplus(dt + dt_bias); h = exp(d A) h + d B u; out = h C + D u, times silu(z) if z is given.
// State: h [n_channels][n_state].
struct SelectiveScan {
  Rows u = {};                     // [n_rows, n_channels]
  Rows dt = {};                    // [n_rows, n_channels] before bias and softplus
  Rows b = {};                     // [n_rows, n_state]
  Rows c = {};                     // [n_rows, n_state]
  Rows z = {};                     // [n_rows, n_channels] or no data
  const float* a = nullptr;        // [n_channels][n_state], negative
  const float* d = nullptr;        // [n_channels] or null
  const float* dt_bias = nullptr;  // [n_channels] or null
  Rows out = {};                   // may be u
};
void selective_scan(const Context& c, const SelectiveScan& scan, Sequences sequences, std::size_t state_offset);

// Mamba-2: per head d = clamp(softplus(dt + dt_bias), dt_min, dt_max); h = exp(d A) h + d x B; out = h C + D x.
// State: h [n_heads][head_dim][n_state].
struct HeadScan {
  int n_heads = 0;
  int head_dim = 0;
  int n_groups = 1;  // head i uses group i / (n_heads / n_groups)
  int n_state = 0;
  Rows x = {};                     // [n_rows, n_heads * head_dim]
  Rows dt = {};                    // [n_rows, n_heads]
  Rows b = {};                     // [n_rows, n_groups * n_state]
  Rows c = {};                     // [n_rows, n_groups * n_state]
  const float* a = nullptr;        // [n_heads], negative
  const float* d = nullptr;        // [n_heads] or null
  const float* dt_bias = nullptr;  // [n_heads] or null
  float dt_min = 0;
  float dt_max = 3.402823466e+38f;
  Rows out = {};  // may be x
};
void head_scan(const Context& c, const HeadScan& scan, Sequences sequences, std::size_t state_offset);

// Gated delta rule: per value head with key head j = i / (n_value_heads / n_key_heads), q and k as given
// (l2_normalize before): S *= exp(g); S += k (beta (v - k S)); out = q S,
// g = a * softplus(alpha + dt_bias), beta = sigmoid(b). State: S [n_value_heads][key_dim][value_dim].
struct GatedDelta {
  int n_key_heads = 0;
  int n_value_heads = 0;
  int key_dim = 0;
  int value_dim = 0;
  Rows q = {};                     // [n_rows, n_key_heads * key_dim]
  Rows k = {};                     // likewise
  Rows v = {};                     // [n_rows, n_value_heads * value_dim]
  Rows alpha = {};                 // [n_rows, n_value_heads]
  Rows b = {};                     // [n_rows, n_value_heads]
  const float* a = nullptr;        // [n_value_heads], -exp(A_log)
  const float* dt_bias = nullptr;  // [n_value_heads]
  Rows out = {};                   // may be v
};
void gated_delta(const Context& c, const GatedDelta& delta, Sequences sequences, std::size_t state_offset);

// RWKV-4: per channel wkv = (num + e^(u + k) v) / (den + e^(u + k)); then num = w num + e^k v, den = w den + e^k,
// w = exp(-exp(decay)); out = sigmoid(r) * wkv. State: [3][n_channels]: num and den times e^-m, and m (any m at den 0).
struct Wkv {
  Rows r = {};  // [n_rows, n_channels] before the sigmoid
  Rows k = {};
  Rows v = {};
  const float* first = nullptr;  // [n_channels] time_first, u
  const float* decay = nullptr;  // [n_channels] -exp(time_decay), the logarithm of w
  Rows out = {};
};
void wkv(const Context& c, const Wkv& wkv, Sequences sequences, std::size_t state_offset);

// RG-LRU: i = sigmoid(input_gate), r = sigmoid(recurrent_gate), log a = -8 r softplus(lambda), h = a h + m i x,
// m = sqrt(1 - a^2), at position 0 m = 1. State: h [n_channels].
struct LinearRecurrentUnit {
  Rows x = {};                    // [n_rows, n_channels]
  Rows input_gate = {};           // [n_rows, n_channels] before the sigmoid
  Rows recurrent_gate = {};       // likewise
  const float* lambda = nullptr;  // [n_channels]
  Rows out = {};                  // may be x
};
void linear_recurrent_unit(const Context& c, const LinearRecurrentUnit& unit, Sequences sequences,
                           std::size_t state_offset);

}  // namespace llm::ops

#endif
