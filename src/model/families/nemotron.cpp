#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  const Attention a = attention(h, i, {.rope_fraction = 0.5});
  const Mlp m = mlp(h, i, activation(h, Activation::relu2), false);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

}  // namespace

const Family nemotron_family{.name = "nemotron",
                             .gguf = {"nemotron"},
                             .hugging_face = {"nemotron"},
                             .special = "layer norms with weights 1 + w; squared relu; partial rotation",
                             .norm = norm,
                             .layer = layer,
                             .rules = {{"*norm.weight", Adapt::plus_one}}};

}  // namespace llm::model
