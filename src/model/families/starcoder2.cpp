#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  const Presence bias = by_key(h, {"", {"use_bias"}}, true);
  Attention a = attention(h, i, {.n_head_kv = 2});
  a.qkv_bias = a.output_bias = bias;
  set_window(a, h.integer_or(keys::window, 0));
  Mlp m = mlp(h, i, activation(h, Activation::gelu_tanh), false);
  m.bias = bias;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

}  // namespace

const Family starcoder2_family{.name = "starcoder2",
                               .gguf = {"starcoder2", "codeshell"},
                               .hugging_face = {"starcoder2"},
                               .special = "layer norms and biases; plain feed-forward; window",
                               .defaults = {.tied = true},
                               .norm = norm,
                               .layer = layer,
                               .naming = {.names = {{"ffn_up", "mlp.c_fc"}, {"ffn_down", "mlp.c_proj"}}}};

}  // namespace llm::model
