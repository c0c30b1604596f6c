#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

bool is_rotated(const Hyper& h, int i) {
  const Key listed{"", {"no_rope_layers"}}, interval{"", {"no_rope_layer_interval"}};
  const std::int64_t period = h.integer_or(interval, 4, 1);
  if (!h.gguf() && h.has(listed)) return h.integer_at(listed, i, 0, 1) == 1;
  return (i + 1) % period != 0;
}

Layer layer(const Hyper& h, int i) {
  Attention a =
      attention(h, i, {.rope_base = h.gguf() ? 10'000.0 : 2e6, .n_head_kv = 4, .gguf_pairing = RopePairing::adjacent});
  const bool rotated = is_rotated(h, i);
  if (!rotated) a.rope.dims = 0;
  if (!h.gguf()) set_switched_window(h, a, windowed_by_type(h, i).value_or(!rotated), 0);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu))};
}

}  // namespace

const Family smollm3_family{.name = "smollm3",
                            .gguf = {"smollm3"},
                            .hugging_face = {"smollm3"},
                            .special = "every fourth layer without rotation",
                            .defaults = {.tied = true},
                            .norm = norm,
                            .layer = layer};

}  // namespace llm::model
