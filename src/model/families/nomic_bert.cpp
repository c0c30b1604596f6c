#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-12);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.rope_base = h.gguf() ? 10'000.0 : 1'000.0});
  a.causal = encoder_is_causal(h);
  return {
      .mixers = {a}, .after_mixer = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu)), .after_ffn = norm(h)};
}

void finish(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.norm = norm(h);
  m.decoder.embedding.n_token_types = n_token_types(h, 2);
}

}  // namespace

const Family nomic_bert_family{.name = "nomic_bert",
                               .gguf = {"nomic-bert"},
                               .hugging_face = {"nomic_bert"},
                               .special = "encoder with rotary positions and a gated feed-forward, no biases",
                               .defaults = {.tied = true},
                               .kind = ModelKind::encoder,
                               .layer = layer,
                               .finish = finish,
                               .naming = {.prefixes = {"", "bert.", "model."},
                                          .layer = "encoder.layers.{}.",
                                          .names = {{"token_embd", "embeddings.word_embeddings"},
                                                    {"token_types", "embeddings.token_type_embeddings"},
                                                    {"token_embd_norm", "emb_ln"},
                                                    {"attn_qkv", "attn.Wqkv"},
                                                    {"attn_output", "attn.out_proj"},
                                                    {"attn_output_norm", "norm1"},
                                                    {"ffn_gate", "mlp.fc12"},
                                                    {"ffn_up", "mlp.fc11"},
                                                    {"ffn_down", "mlp.fc2"},
                                                    {"layer_output_norm", "norm2"}}}};

}  // namespace llm::model
