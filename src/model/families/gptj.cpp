#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.pairing = RopePairing::adjacent});
  a.rope.dims = static_cast<int>(h.integer_or({"", {"rotary_dim"}}, 64, 2, a.head_dim)) / 2 * 2;
  Mlp m = mlp(h, i, activation(h, Activation::gelu_tanh), false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = Presence::yes;
  return {.pre_mixer = norm(h), .mixers = {a}, .ffn = m, .parallel = true, .shared_norm = true};
}

void finish(const Hyper&, ModelSpec& m) {
  m.head.bias = Presence::yes;
}

}  // namespace

const Family gptj_family{.name = "gptj",
                         .hugging_face = {"gptj"},
                         .special = "parallel block with one norm; neighbouring rotary pairs; bias of the output",
                         .norm = norm,
                         .layer = layer,
                         .finish = finish,
                         .naming = {.prefixes = {"transformer.", ""},
                                    .layer = "h.{}.",
                                    .names = {{"token_embd", "wte"},
                                              {"output_norm", "ln_f"},
                                              {"attn_norm", "ln_1"},
                                              {"attn_q", "attn.q_proj"},
                                              {"attn_k", "attn.k_proj"},
                                              {"attn_v", "attn.v_proj"},
                                              {"attn_output", "attn.out_proj"},
                                              {"ffn_up", "mlp.fc_in"},
                                              {"ffn_down", "mlp.fc_out"}}}};

}  // namespace llm::model
