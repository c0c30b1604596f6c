#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = Presence::yes;
  a.alibi_slopes = alibi_slopes(a.n_head);
  a.gguf_reorders_qkv = true;
  if (!h.gguf()) a.fused_order = QkvOrder::per_head;
  Mlp m = mlp(h, i, Activation::gelu_tanh, false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = Presence::yes;
  const bool normed = h.flag_or({"", {"apply_residual_connection_post_layernorm"}}, false);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m, .residual_is_normed = normed};
}

void finish(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.norm = norm(h);
}

}  // namespace

const Family bloom_family{.name = "bloom",
                          .gguf = {"bloom"},
                          .hugging_face = {"bloom"},
                          .special = "ALiBi; norm of the embeddings; q, k, v fused per head",
                          .defaults = {.tied = true},
                          .norm = norm,
                          .layer = layer,
                          .finish = finish,
                          .naming = {.prefixes = {"transformer.", ""},
                                     .layer = "h.{}.",
                                     .names = {{"token_embd_norm", "word_embeddings_layernorm"},
                                               {"token_embd", "word_embeddings"},
                                               {"output_norm", "ln_f"},
                                               {"attn_norm", "input_layernorm"},
                                               {"attn_qkv", "self_attention.query_key_value"},
                                               {"attn_output", "self_attention.dense"},
                                               {"ffn_norm", "post_attention_layernorm"},
                                               {"ffn_up", "mlp.dense_h_to_4h"},
                                               {"ffn_down", "mlp.dense_4h_to_h"}}}};

}  // namespace llm::model
