#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1.5625e-07);
}

Attention glm_attention(const Hyper& h, int i) {
  Attention a = attention(h, i,
                          {.head_dim = 128,
                           .n_head_kv = 2,
                           .rope_fraction = 0.5,
                           .gguf_pairing = RopePairing::adjacent,
                           .pairing = RopePairing::adjacent});
  a.qkv_bias = by_key(h, keys::attention_bias, true);
  a.output_bias = if_gguf_else(h, false);
  return a;
}

Layer glm(const Hyper& h, int i) {
  return {.pre_mixer = norm(h),
          .mixers = {glm_attention(h, i)},
          .pre_ffn = norm(h),
          .ffn = mlp(h, i, activation(h, Activation::silu))};
}

Layer glm4(const Hyper& h, int i) {
  Layer l = glm(h, i);
  l.post_mixer = l.post_ffn = norm(h);
  return l;
}

}  // namespace

const Family glm_family{.name = "glm",
                        .gguf = {"chatglm"},
                        .hugging_face = {"glm"},
                        .special = "half of each head rotated in neighbouring pairs; fused gate and up",
                        .norm = norm,
                        .layer = glm,
                        .naming = {.names = {{"ffn_up", "mlp.gate_up_proj"}}}};

const Family glm4_family{.name = "glm4",
                         .gguf = {"glm4"},
                         .hugging_face = {"glm4"},
                         .special = "glm with norms after the branches too",
                         .norm = norm,
                         .layer = glm4,
                         .naming = {.names = {{"ffn_up", "mlp.gate_up_proj"},
                                              {"post_attention_norm", "post_self_attn_layernorm"},
                                              {"post_ffw_norm", "post_mlp_layernorm"}}}};

}  // namespace llm::model
