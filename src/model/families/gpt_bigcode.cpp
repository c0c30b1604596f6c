#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = Presence::yes;
  a.gguf_reorders_qkv = true;
  if (!h.gguf()) {
    const bool one = h.flag_or({"", {"multi_query"}}, true);
    a.n_head_kv = one ? 1 : a.n_head;
    a.fused_order = one ? QkvOrder::blocks : QkvOrder::per_head;
    if (!h.flag_or({"", {"scale_attn_weights"}}, true)) a.scale = 1;
  }
  Mlp m = mlp(h, i, activation(h, Activation::gelu_tanh), false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = Presence::yes;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

void finish(const Hyper& h, ModelSpec& m) {
  set_learned_positions(h, m);
}

}  // namespace

const Family gpt_bigcode_family{.name = "gpt_bigcode",
                                .gguf = {"starcoder"},
                                .hugging_face = {"gpt_bigcode"},
                                .special = "one key/value head; learned positions",
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
                                                     {"attn_output", "attn.c_proj"}}}};

}  // namespace llm::model
