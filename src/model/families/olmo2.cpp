#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.rope_base = h.architecture() == "olmo3" ? 500'000.0 : 10'000.0});
  a.qk_norm_over = Attention::NormOver::row;
  a.qk_norm = norm(h);
  const std::int64_t window = h.integer_or(keys::window, h.architecture() == "olmo3" ? 4096 : 0);
  const std::optional<bool> typed = h.gguf() ? std::nullopt : windowed_by_type(h, i);
  // Windowed layers keep the rotation they were trained with: no scaling.
  const Rope local = windowed_rope(h, a.rope, h.number_or({"rope.freq_base_swa"}, a.rope.base, 1));
  if (window > 0 && typed.value_or(windowed_by_pattern(h, i, 4))) {
    set_window(a, window);
    a.rope = local;
  }
  return {.mixers = {a}, .post_mixer = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu)), .post_ffn = norm(h)};
}

}  // namespace

const Family olmo2_family{
    .name = "olmo2",
    .gguf = {"olmo2"},
    .hugging_face = {"olmo2", "olmo3"},
    .special = "norms after the branches; norm over all of q and k; olmo3: three windowed layers to one",
    .norm = norm,
    .layer = layer,
    .naming = {.names = {{"post_attention_norm", "post_attention_layernorm"},
                         {"post_ffw_norm", "post_feedforward_layernorm"}}}};

}  // namespace llm::model
