#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.rope_fraction = 0.5});
  a.qkv_bias = a.output_bias = Presence::yes;
  if (h.flag_or({"", {"qk_layernorm"}}, false)) {
    a.qk_norm_over = Attention::NormOver::head;
    a.qk_norm = norm(h);
  }
  Mlp m = mlp(h, i, activation(h, Activation::gelu_tanh), false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = Presence::yes;
  return {.pre_mixer = norm(h), .mixers = {a}, .ffn = m, .parallel = true, .shared_norm = true};
}

void finish(const Hyper&, ModelSpec& m) {
  m.head.bias = Presence::yes;
}

}  // namespace

const Family phi_family{.name = "phi",
                        .gguf = {"phi2"},
                        .hugging_face = {"phi"},
                        .special = "parallel block with one norm; biases everywhere; partial rotation",
                        .norm = norm,
                        .layer = layer,
                        .finish = finish,
                        .naming = {.names = {{"output_norm", "final_layernorm"},
                                             {"attn_output", "self_attn.dense"},
                                             {"attn_q_norm", "self_attn.q_layernorm"},
                                             {"attn_k_norm", "self_attn.k_layernorm"},
                                             {"ffn_up", "mlp.fc1"},
                                             {"ffn_down", "mlp.fc2"}}}};

}  // namespace llm::model
