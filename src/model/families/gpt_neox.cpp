#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.rope_fraction = 0.25});
  a.qkv_bias = a.output_bias = by_key(h, keys::attention_bias, true);
  a.gguf_reorders_qkv = true;
  if (!h.gguf()) a.fused_order = QkvOrder::per_head;
  Mlp m = mlp(h, i, activation(h, Activation::gelu_erf), false);
  m.bias = Presence::yes;
  const bool parallel = h.flag_or({"use_parallel_residual", {"use_parallel_residual"}}, true);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m, .parallel = parallel};
}

}  // namespace

const Family gpt_neox_family{.name = "gpt_neox",
                             .gguf = {"gptneox"},
                             .hugging_face = {"gpt_neox"},
                             .special = "parallel block with two norms; q, k, v fused per head; partial rotation",
                             .norm = norm,
                             .layer = layer,
                             .naming = {.prefixes = {"gpt_neox.", ""},
                                        .names = {{"token_embd", "embed_in"},
                                                  {"output_norm", "final_layer_norm"},
                                                  {"output", "^embed_out"},
                                                  {"attn_qkv", "attention.query_key_value"},
                                                  {"attn_output", "attention.dense"},
                                                  {"ffn_up", "mlp.dense_h_to_4h"},
                                                  {"ffn_down", "mlp.dense_4h_to_h"}}}};

}  // namespace llm::model
