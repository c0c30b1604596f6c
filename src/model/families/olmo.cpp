#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  const float eps = h.gguf() ? layer_norm(h, 1e-5).eps : 1e-5f;
  return {.kind = NormKind::layer, .eps = eps, .weight = false};
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.gguf_pairing = RopePairing::adjacent});
  a.clamp = static_cast<float>(h.number_or(keys::clamp_qkv, 0, 0));
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu))};
}

}  // namespace

const Family olmo_family{.name = "olmo",
                         .gguf = {"olmo"},
                         .hugging_face = {"olmo"},
                         .special = "layer norms without weights; clamped q, k, v",
                         .norm = norm,
                         .layer = layer};

}  // namespace llm::model
