#ifndef KERNELS_SCAN_KERNELS_H
#define KERNELS_SCAN_KERNELS_H

#include <cstdint>

#include "kernels/row_types.h"

// One token of a recurrence for some channels or one head: part of the KernelTable. The lanes own channels or state
// entries; every sum runs in one fixed order.

namespace llm::kernels {

struct ScanKernels {
  // out[ch] = act(bias[ch] + sum_i weight[ch][i] * rows[i][ch]) over the width rows, the last being the newest.
  void (*conv)(const float* const* rows, std::int64_t width, const float* weight, const float* bias,
               Activation activation, std::int64_t n, float* out);
  // Mamba, n channels: h [n][n_state], a [n][n_state]; dt before bias and softplus; z, d, dt_bias may be null.
  void (*selective)(std::int64_t n, std::int64_t n_state, const float* u, const float* dt, const float* dt_bias,
                    const float* a, const float* b, const float* c, const float* d, const float* z, float* h,
                    float* out);
  // softplus(x), e^x, sigmoid(x) of one number, in the arithmetic of the vectors.
  float (*softplus)(float x);
  float (*exp)(float x);
  float (*sigmoid)(float x);
  // Mamba-2, one head: h [head_dim][n_state] = decay * h + (dt * x) b; out = h c + d x.
  void (*head)(std::int64_t head_dim, std::int64_t n_state, float decay, float dt, float d, const float* x,
               const float* b, const float* c, float* h, float* out);
  // Gated delta rule, one head: s [key_dim][value_dim]; scratch [value_dim].
  void (*delta)(std::int64_t key_dim, std::int64_t value_dim, float decay, float beta, const float* q, const float* k,
                const float* v, float* s, float* scratch, float* out);
  // RWKV-4, n channels.
  void (*wkv)(std::int64_t n, const float* r, const float* k, const float* v, const float* first, const float* decay,
              float* num, float* den, float* max, float* out);
  // RG-LRU, n channels; at_start: position 0.
  void (*lru)(std::int64_t n, bool at_start, const float* x, const float* input_gate, const float* recurrent_gate,
              const float* lambda, float* h, float* out);
};

}  // namespace llm::kernels

#endif
