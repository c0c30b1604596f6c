#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.rope_base = 1e6, .n_head_kv = 8, .gguf_pairing = RopePairing::adjacent});
  set_window(a, h.integer_or(keys::window, 0));
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 8, .used = 2});
  e.router.normalize = true;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
}

}  // namespace

const Family mixtral_family{.name = "mixtral",
                            .hugging_face = {"mixtral"},
                            .special = "experts, the chosen weights divided by their sum (GGUF: llama)",
                            .norm = norm,
                            .layer = layer,
                            .naming = {.names = {{"ffn_gate_inp", "block_sparse_moe.gate"},
                                                 {"ffn_gate_exps", "block_sparse_moe.experts.{}.w1"},
                                                 {"ffn_up_exps", "block_sparse_moe.experts.{}.w3"},
                                                 {"ffn_down_exps", "block_sparse_moe.experts.{}.w2"}}},
                            .writing = {.architecture = "llama"}};

}  // namespace llm::model
