#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  h.use({"", {"original_max_position_embeddings"}});  // matters to scaled rotation only
  Attention a = attention(h, i, {.rope = {.original_context = 4096, .yarn_is_longrope = true}});
  if (h.gguf()) {
    h.use(keys::window);  // some files name one that the model was not trained with; nobody reads it
  } else {
    set_window(a, h.integer_or(keys::window, 0));
  }
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu))};
}

}  // namespace

const Family phi3_family{.name = "phi3",
                         .gguf = {"phi3"},
                         .hugging_face = {"phi3"},
                         .special = "fused q, k, v and gate, up; long rope; window (folders)",
                         .norm = norm,
                         .layer = layer,
                         .naming = {.names = {{"ffn_up", "mlp.gate_up_proj"}}}};

}  // namespace llm::model
