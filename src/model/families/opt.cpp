#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm_of(const Hyper& h) {
  const bool affine = h.flag_or({"", {"layer_norm_elementwise_affine"}}, true);
  return {.kind = NormKind::layer, .eps = 1e-5f, .weight = affine, .bias = affine ? Presence::yes : Presence::no};
}

Layer layer(const Hyper& h, int i) {
  const Presence bias = h.flag_or({"", {"enable_bias"}}, true) ? Presence::yes : Presence::no;
  const Norm norm = norm_of(h);
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = bias;
  Mlp m = mlp(h, i, activation(h, Activation::relu), false);
  m.bias = bias;
  if (h.flag_or({"", {"do_layer_norm_before"}}, true)) {
    return {.pre_mixer = norm, .mixers = {a}, .pre_ffn = norm, .ffn = m};
  }
  return {.mixers = {a}, .after_mixer = norm, .ffn = m, .after_ffn = norm};
}

void finish(const Hyper& h, ModelSpec& m) {
  set_learned_positions(h, m, 2);
  const int width = static_cast<int>(h.integer_or({"", {"word_embed_proj_dim"}}, m.n_embd, 1, 1 << 20));
  if (width != m.n_embd) {
    m.decoder.embedding.width = m.head.width = width;
    m.decoder.embedding.project_before_positions = true;
  }
  const bool pre = h.flag_or({"", {"do_layer_norm_before"}}, true);
  const bool removed = h.flag_or({"", {"_remove_final_layer_norm"}}, false);
  if (pre && !removed) m.decoder.final_norm = norm_of(h);
}

}  // namespace

const Family opt_family{.name = "opt",
                        .hugging_face = {"opt"},
                        .special = "learned positions with offset 2; norms before or after; projected embeddings",
                        .defaults = {.tied = true},
                        .layer = layer,
                        .finish = finish,
                        .naming = {.prefixes = {"model.decoder.", "decoder.", ""},
                                   .names = {{"position_embd", "embed_positions"},
                                             {"embd_projection", "project_in"},
                                             {"output_projection", "project_out"},
                                             {"output_norm", "final_layer_norm"},
                                             {"attn_norm", "self_attn_layer_norm"},
                                             {"attn_output_norm", "self_attn_layer_norm"},
                                             {"attn_output", "self_attn.out_proj"},
                                             {"ffn_norm", "final_layer_norm"},
                                             {"layer_output_norm", "final_layer_norm"},
                                             {"ffn_up", "fc1"},
                                             {"ffn_down", "fc2"}}}};

}  // namespace llm::model
