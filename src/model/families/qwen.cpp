#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i);
  a.qkv_bias = Presence::yes;
  Mlp m = mlp(h, i, Activation::silu);
  m.width /= 2;  // the key counts gate and up together
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

}  // namespace

const Family qwen_family{.name = "qwen",
                         .gguf = {"qwen"},
                         .special = "the first Qwen: fused q, k, v with biases; feed_forward_length counts gate and up",
                         .norm = norm,
                         .layer = layer};

}  // namespace llm::model
