#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = Presence::yes;
  // "gelu" means the tanh form here.
  const Activation act = activation(h, Activation::gelu_tanh, Activation::gelu_tanh);
  const Mlp m{
      .width = 4 * static_cast<int>(h.integer(keys::n_embd)), .activation = act, .gated = false, .bias = Presence::yes};
  return {.mixers = {a}, .after_mixer = norm(h), .ffn = m, .after_ffn = norm(h)};
}

void finish(const Hyper& h, ModelSpec& m) {
  set_learned_positions(h, m);
}

}  // namespace

const Family openai_gpt_family{.name = "openai-gpt",
                               .hugging_face = {"openai-gpt"},
                               .special = "norms after the branches were added, none at the end",
                               .defaults = {.tied = true},
                               .layer = layer,
                               .finish = finish,
                               .naming = {.prefixes = {"transformer.", ""},
                                          .layer = "h.{}.",
                                          .names = {{"token_embd", "tokens_embed"},
                                                    {"position_embd", "positions_embed"},
                                                    {"attn_qkv", "attn.c_attn"},
                                                    {"attn_output", "attn.c_proj"},
                                                    {"attn_output_norm", "ln_1"},
                                                    {"ffn_up", "mlp.c_fc"},
                                                    {"ffn_down", "mlp.c_proj"},
                                                    {"layer_output_norm", "ln_2"}}},
                               .rules = {{"attn_qkv.weight", Adapt::transpose},
                                         {"attn_output.weight", Adapt::transpose},
                                         {"ffn_up.weight", Adapt::transpose},
                                         {"ffn_down.weight", Adapt::transpose}}};

}  // namespace llm::model
