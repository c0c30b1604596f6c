#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  Norm n = layer_norm(h, 1e-5, by_key(h, {"", {"norm_bias"}}, false));
  n.eps = static_cast<float>(h.number_or({"", {"norm_eps"}}, n.eps, 0));  // the one that counts of several
  return n;
}

// Layers 0, n, 2n ... see everything, the others half a window to each side, with a rope base of their own.
Layer layer(const Hyper& h, int i) {
  constexpr Key global_base{"rope.freq_base", {"global_rope_theta", "rope_parameters.full_attention.rope_theta"}};
  constexpr Key local_base{"rope.freq_base_swa", {"local_rope_theta", "rope_parameters.sliding_attention.rope_theta"}};
  constexpr Key window{"attention.sliding_window", {"local_attention"}};
  constexpr Key period{"attention.sliding_window_pattern", {"global_attn_every_n_layers"}};
  Attention a = attention(h, i);
  a.causal = encoder_is_causal(h);
  const double base = h.number_or(global_base, h.gguf() ? 10'000 : 160'000, 1);
  const double near_base = h.number_or(local_base, 10'000, 1);
  const std::int64_t width = h.integer_or(window, h.gguf() ? 0 : 128);
  a.rope.base = base;
  const bool listed = h.is_array(period);
  const std::int64_t n = listed ? 0 : h.integer_or(period, 3, 0);
  const std::optional<bool> typed = h.gguf() ? std::nullopt : windowed_by_type(h, i);
  const bool local = listed ? h.integer_at(period, i, 0, 1) == 1 : typed.value_or(n == 0 || i % n != 0);
  if (width > 0 && local) {
    a.window_kind = WindowKind::symmetric;
    a.window = static_cast<int>(width);
    const RopeScaling scaling = a.rope.scaling;
    a.rope = windowed_rope(h, a.rope, near_base);
    if (h.has({"", {"rope_scaling"}})) a.rope.scaling = scaling;  // of all layers
  }
  h.use(keys::rms_eps);
  h.use(keys::layer_norm_eps);
  Layer l{.mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, activation(h, Activation::gelu_erf))};
  if (i != 0) l.pre_mixer = norm(h);
  return l;
}

void finish(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.norm = norm(h);
  const Key act{"", {"classifier_activation"}};
  set_mask_head(h, m, "head.dense.weight", norm(h), activation_named(h, act, h.text_or(act, "gelu")));
  m.head.transform_bias = by_key(h, {"", {"classifier_bias"}}, false);
  m.head.bias = by_key(h, {"", {"decoder_bias"}}, true);
}

}  // namespace

const Family modernbert_family{.name = "modernbert",
                               .gguf = {"modern-bert"},
                               .hugging_face = {"modernbert"},
                               .special = "encoder: two rope bases, windows to both sides on two of three layers",
                               .defaults = {.tied = true},
                               .kind = ModelKind::encoder,
                               .norm = norm,
                               .layer = layer,
                               .finish = finish,
                               .naming = {.prefixes = {"", "model."},
                                          .names = {{"token_embd", "embeddings.tok_embeddings"},
                                                    {"token_embd_norm", "embeddings.norm"},
                                                    {"output_norm", "final_norm"},
                                                    {"attn_norm", "attn_norm"},
                                                    {"attn_qkv", "attn.Wqkv"},
                                                    {"attn_output", "attn.Wo"},
                                                    {"ffn_norm", "mlp_norm"},
                                                    {"ffn_up", "mlp.Wi"},
                                                    {"ffn_down", "mlp.Wo"},
                                                    {"output_transform", "^head.dense"},
                                                    {"output_transform_norm", "^head.norm"},
                                                    {"output", "^decoder"}}}};

}  // namespace llm::model
