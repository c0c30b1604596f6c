#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  const Key max_bias{"attention.max_alibi_bias"};
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = Presence::yes;
  a.scale = 1 / static_cast<float>(a.head_dim);
  const double bias = h.number_or(max_bias, 0, 0);
  if (bias > 0) a.alibi_slopes = alibi_slopes(a.n_head, bias);
  Mlp m = mlp(h, i, Activation::silu);
  m.bias = Presence::yes;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

}  // namespace

const Family jais_family{.name = "jais",
                         .gguf = {"jais"},
                         .special = "ALiBi; layer norms, biases; scores divided by the head size itself",
                         .norm = norm,
                         .layer = layer};

}  // namespace llm::model
