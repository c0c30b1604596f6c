#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

// layer_types, or a pattern as a number (every n-th layer is full) or as letters such as "LLLG".
bool is_windowed(const Hyper& h, int i) {
  if (h.gguf()) return windowed_by_pattern(h, i, 4);
  if (const std::optional<bool> typed = windowed_by_type(h, i)) {
    h.use(keys::window_pattern);
    return *typed;
  }
  if (!h.is_text(keys::window_pattern)) return windowed_by_pattern(h, i, 4);
  const std::string letters = *h.text(keys::window_pattern);
  if (letters.empty()) h.fail(keys::window_pattern, "an empty string", "letters such as LLLG");
  return letters[static_cast<std::size_t>(i) % letters.size()] == 'L';
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 32});
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  const bool by_size = h.gguf() && h.n_layer() == 64;  // files of the 32B may lack the key
  const bool absent = !h.is_null(keys::window) && (by_size || !h.gguf());
  const std::int64_t window = h.integer_or(keys::window, absent ? 4096 : 0);
  const bool local = is_windowed(h, i);
  if (window > 0) {
    if (local) {
      set_window(a, window);
    } else {
      a.rope = {};
    }
  }
  return {.mixers = {a}, .post_mixer = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu)), .post_ffn = norm(h)};
}

}  // namespace

const Family exaone4_family{.name = "exaone4",
                            .gguf = {"exaone4"},
                            .hugging_face = {"exaone4"},
                            .special = "norms after the branches; with a window only windowed layers are rotated",
                            .norm = norm,
                            .layer = layer,
                            .naming = {.names = {{"post_attention_norm", "post_attention_layernorm"},
                                                 {"post_ffw_norm", "post_feedforward_layernorm"}}}};

}  // namespace llm::model
