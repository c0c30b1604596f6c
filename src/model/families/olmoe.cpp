#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i);
  a.qk_norm_over = Attention::NormOver::row;
  a.qk_norm = norm(h);
  a.clamp = static_cast<float>(h.number_or(keys::clamp_qkv, 0, 0));
  a.clamp_after_norm = true;
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 64, .used = 8});
  e.router.normalize = h.flag_or(keys::routed_norm, false);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
}

}  // namespace

const Family olmoe_family{.name = "olmoe",
                          .gguf = {"olmoe"},
                          .hugging_face = {"olmoe"},
                          .special = "experts, weights not normalised; norm over all of q and k",
                          .norm = norm,
                          .layer = layer};

}  // namespace llm::model
