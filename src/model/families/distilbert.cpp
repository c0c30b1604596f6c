#include "model/families/families.h"

namespace llm::model {
namespace {

constexpr Norm norm{.kind = NormKind::layer, .eps = 1e-12f, .bias = Presence::yes};

Layer layer(const Hyper& h, int i) {
  return encoder_layer(h, i, norm, activation(h, Activation::gelu_erf));
}

void finish(const Hyper& h, ModelSpec& m) {
  set_learned_positions(h, m);
  h.use({"", {"sinusoidal_pos_embds"}});  // the table is in the folder either way
  m.decoder.embedding.norm = norm;
  set_mask_head(h, m, "vocab_transform.weight", norm, activation(h, Activation::gelu_erf));
}

}  // namespace

const Family distilbert_family{.name = "distilbert",
                               .hugging_face = {"distilbert"},
                               .special = "bert without token types (GGUF: bert)",
                               .defaults = {.tied = true},
                               .kind = ModelKind::encoder,
                               .layer = layer,
                               .finish = finish,
                               .naming = {.prefixes = {"distilbert.", ""},
                                          .layer = "transformer.layer.{}.",
                                          .names = {{"token_embd", "embeddings.word_embeddings"},
                                                    {"position_embd", "embeddings.position_embeddings"},
                                                    {"token_embd_norm", "embeddings.LayerNorm"},
                                                    {"attn_q", "attention.q_lin"},
                                                    {"attn_k", "attention.k_lin"},
                                                    {"attn_v", "attention.v_lin"},
                                                    {"attn_output", "attention.out_lin"},
                                                    {"attn_output_norm", "sa_layer_norm"},
                                                    {"ffn_up", "ffn.lin1"},
                                                    {"ffn_down", "ffn.lin2"},
                                                    {"layer_output_norm", "output_layer_norm"},
                                                    {"output_transform", "^vocab_transform"},
                                                    {"output_transform_norm", "^vocab_layer_norm"},
                                                    {"output", "^vocab_projector"}}},
                               .writing = {.architecture = "bert"}};

}  // namespace llm::model
