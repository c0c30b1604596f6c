#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5, Presence::no);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i);
  a.clamp = static_cast<float>(h.number(keys::clamp_qkv, 0));
  Experts e = experts(h, i, Activation::silu);
  e.router.normalize = true;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
}

}  // namespace

const Family dbrx_family{.name = "dbrx",
                         .gguf = {"dbrx"},
                         .special = "layer norms without biases; clamped fused q, k, v; experts",
                         .norm = norm,
                         .layer = layer,
                         .gguf_names = {{"ffn_norm", "attn_output_norm"}}};

}  // namespace llm::model
