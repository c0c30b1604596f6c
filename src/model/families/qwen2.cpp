#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 32});
  a.qkv_bias = if_gguf_else(h, true);
  a.output_bias = if_gguf_else(h, false);
  set_late_window(h, a, i);
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h)};
  l.ffn = mlp(h, i, activation(h, Activation::silu));
  return l;
}

}  // namespace

const Family qwen2_family{.name = "qwen2",
                          .gguf = {"qwen2", "qwen2vl", "exaone", "pangu-embedded"},
                          .hugging_face = {"qwen2"},
                          .special = "biases on q, k and v; window from a layer on",
                          .norm = norm,
                          .layer = layer};

}  // namespace llm::model
