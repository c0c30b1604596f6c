#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  const Attention a = attention(h, i, {.head_dim = 256, .n_head_kv = 16});
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h)};
  l.ffn = mlp(h, i, activation(h, Activation::gelu_tanh, Activation::gelu_tanh));
  return l;
}

void finish(const Hyper& h, ModelSpec& m) {
  h.expect_flag({"", {"use_bidirectional_attention"}}, false, "causal attention only");
  m.decoder.embedding.scale = std::sqrt(static_cast<float>(m.n_embd));
}

}  // namespace

const Family gemma_family{.name = "gemma",
                          .gguf = {"gemma"},
                          .hugging_face = {"gemma"},
                          .special = "embeddings times sqrt(n_embd); norm weights 1 + w; tanh gelu",
                          .defaults = {.tied = true},
                          .norm = norm,
                          .layer = layer,
                          .finish = finish,
                          .rules = {{"*norm.weight", Adapt::plus_one}}};

}  // namespace llm::model
