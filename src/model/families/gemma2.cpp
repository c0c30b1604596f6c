#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// GGUF has no key for query_pre_attn_scalar: all but the 27B use the head size.
float score_scale(const Hyper& h, const Attention& a) {
  if (!h.gguf()) return static_cast<float>(1 / std::sqrt(h.number_or({"", {"query_pre_attn_scalar"}}, 256, 1e-6)));
  const std::int64_t width = h.n_layer() == 46 ? h.integer(keys::n_embd) / a.n_head : a.head_dim;
  return static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.head_dim = 256, .n_head_kv = 4});
  a.scale = score_scale(h, a);
  a.softcap = softcap(h, keys::attention_softcap, 50);
  const std::optional<bool> typed = h.gguf() ? std::nullopt : windowed_by_type(h, i);
  if (typed.value_or(windowed_by_pattern(h, i, 2))) set_window(a, h.integer_or(keys::window, 4096));
  return {.pre_mixer = norm(h),
          .mixers = {a},
          .post_mixer = norm(h),
          .pre_ffn = norm(h),
          .ffn = mlp(h, i, activation(h, Activation::gelu_tanh, Activation::gelu_tanh)),
          .post_ffn = norm(h)};
}

void finish(const Hyper& h, ModelSpec& m) {
  h.expect_flag({"", {"use_bidirectional_attention"}}, false, "causal attention only");
  m.decoder.embedding.scale = std::sqrt(static_cast<float>(m.n_embd));
  m.head.softcap = softcap(h, keys::final_softcap, 30);
}

}  // namespace

const Family gemma2_family{.name = "gemma2",
                           .gguf = {"gemma2"},
                           .hugging_face = {"gemma2"},
                           .special = "norms before and after; window on even layers; soft-caps on scores and logits",
                           .defaults = {.tied = true},
                           .norm = norm,
                           .layer = layer,
                           .finish = finish,
                           .naming = {.names = {{"post_attention_norm", "post_attention_layernorm"},
                                                {"ffn_norm", "pre_feedforward_layernorm"},
                                                {"post_ffw_norm", "post_feedforward_layernorm"}}},
                           .rules = {{"*norm.weight", Adapt::plus_one}}};

}  // namespace llm::model
