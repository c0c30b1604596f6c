#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  const Attention a = attention(h, i, {.gguf_pairing = RopePairing::adjacent});
  return {.pre_mixer = norm(h),
          .mixers = {a},
          .pre_ffn = norm(h),
          .ffn = mlp(h, i, activation(h, Activation::relu2), false)};
}

}  // namespace

const Family arcee_family{.name = "arcee",
                          .gguf = {"arcee"},
                          .hugging_face = {"arcee"},
                          .special = "plain feed-forward with squared relu",
                          .norm = norm,
                          .layer = layer};

}  // namespace llm::model
