#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = Presence::yes;
  if (!h.flag_or({"", {"scale_attn_weights"}}, true)) a.scale = 1;
  if (h.flag_or({"", {"scale_attn_by_inverse_layer_idx"}}, false)) {
    a.scale = (a.scale != 0 ? a.scale : 1 / std::sqrt(static_cast<float>(a.head_dim))) / static_cast<float>(i + 1);
  }
  Mlp m = mlp(h, i, activation(h, Activation::gelu_tanh), false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = Presence::yes;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

void finish(const Hyper& h, ModelSpec& m) {
  set_learned_positions(h, m);
}

}  // namespace

const Family gpt2_family{.name = "gpt2",
                         .gguf = {"gpt2"},
                         .hugging_face = {"gpt2"},
                         .special = "learned positions; matrices stored transposed; fused q, k, v",
                         .defaults = {.tied = true},
                         .norm = norm,
                         .layer = layer,
                         .finish = finish,
                         .naming = {.prefixes = {"transformer.", ""},
                                    .layer = "h.{}.",
                                    .names = {{"token_embd", "wte"},
                                              {"position_embd", "wpe"},
                                              {"output_norm", "ln_f"},
                                              {"attn_norm", "ln_1"},
                                              {"ffn_norm", "ln_2"},
                                              {"ffn_up", "mlp.c_fc"},
                                              {"ffn_down", "mlp.c_proj"},
                                              {"attn_qkv", "attn.c_attn"},
                                              {"attn_output", "attn.c_proj"}}},
                         .rules = {{"attn_qkv.weight", Adapt::transpose},
                                   {"attn_output.weight", Adapt::transpose},
                                   {"ffn_up.weight", Adapt::transpose},
                                   {"ffn_down.weight", Adapt::transpose}}};

}  // namespace llm::model
