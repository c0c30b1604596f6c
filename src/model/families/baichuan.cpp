#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// No key tells the two sizes apart: that of 40 layers has ALiBi, the others rotate.
Layer layer(const Hyper& h, int i) {
  const bool alibi = h.n_layer() == 40;
  Attention a = attention(h, i, {.has_rope = !alibi, .gguf_pairing = RopePairing::adjacent});
  if (alibi) a.alibi_slopes = alibi_slopes(a.n_head);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, Activation::silu)};
}

}  // namespace

const Family baichuan_family{.name = "baichuan",
                             .gguf = {"baichuan"},
                             .special = "llama; with 40 layers ALiBi instead of rotation",
                             .norm = norm,
                             .layer = layer};

}  // namespace llm::model
