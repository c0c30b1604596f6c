#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

constexpr Key local_base{"rope.freq_base_swa", {"rope_local_base_freq"}};

float score_scale(const Hyper& h, const Attention& a) {
  if (!h.gguf()) return static_cast<float>(1 / std::sqrt(h.number_or({"", {"query_pre_attn_scalar"}}, 256, 1e-6)));
  const std::int64_t width = h.n_layer() == 62 ? h.integer(keys::n_embd) / a.n_head : a.head_dim;
  return static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.rope_base = h.gguf() ? 10'000.0 : 1e6, .head_dim = 256, .n_head_kv = 4});
  a.scale = score_scale(h, a);
  h.use(keys::attention_softcap);  // a number that the class keeps from gemma2 and does not apply
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  const std::optional<bool> typed = h.gguf() ? std::nullopt : windowed_by_type(h, i);
  const std::int64_t window = h.integer_or(keys::window, h.gguf() ? 0 : 4096);
  const bool local = typed.value_or(windowed_by_pattern(h, i, 6));  // five windowed layers, then a full one
  const double base = h.number_or(local_base, 10'000);
  if (local && window > 0) {
    set_window(a, window);
    a.rope = windowed_rope(h, a.rope, base);
  }
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
  m.head.softcap = softcap(h, keys::final_softcap, 0);
}

Layer embedding_layer(const Hyper& h, int i) {
  Layer l = layer(h, i);
  auto& a = std::get<Attention>(l.mixers.front());
  a.causal = false;
  a.window = static_cast<int>(h.integer(keys::window, 1));
  if (a.window_kind == WindowKind::none) a.window = 0;
  if (a.window_kind == WindowKind::sliding) a.window_kind = WindowKind::symmetric;
  return l;
}

// EmbeddingGemma.
bool sees_both_sides(const Hyper& h) {
  return h.flag_or({"", {"use_bidirectional_attention"}}, false);
}

void finish_embedding(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.scale = std::sqrt(static_cast<float>(m.n_embd));
  for (const Key& key : {keys::final_softcap, keys::tied}) h.use(key);
}

const Naming naming = {.names = {{"post_attention_norm", "post_attention_layernorm"},
                                 {"ffn_norm", "pre_feedforward_layernorm"},
                                 {"post_ffw_norm", "post_feedforward_layernorm"}}};
const std::vector<TensorRule> rules = {{"*norm.weight", Adapt::plus_one}};

}  // namespace

const Family gemma_embedding_family{.name = "gemma-embedding",
                                    .gguf = {"gemma-embedding"},
                                    .hugging_face = {"gemma3_text"},
                                    .special = "gemma3 as an encoder: windows to both sides",
                                    .claims = sees_both_sides,
                                    .defaults = {.tied = true},
                                    .kind = ModelKind::encoder,
                                    .norm = norm,
                                    .layer = embedding_layer,
                                    .finish = finish_embedding,
                                    .naming = naming,
                                    .rules = rules};

const Family gemma3_family{.name = "gemma3",
                           .gguf = {"gemma3"},
                           .hugging_face = {"gemma3_text"},
                           .special = "five windowed layers with a rope base of their own to one full; q and k norms",
                           .defaults = {.tied = true},
                           .norm = norm,
                           .layer = layer,
                           .finish = finish,
                           .naming = naming,
                           .rules = rules};

}  // namespace llm::model
