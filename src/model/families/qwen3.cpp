#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.head_dim = 128, .n_head_kv = 32});
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  set_late_window(h, a, i);
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h)};
  l.ffn = mlp(h, i, activation(h, Activation::silu));
  return l;
}

}  // namespace

const Family qwen3_family{.name = "qwen3",
                          .gguf = {"qwen3", "qwen3vl"},
                          .hugging_face = {"qwen3"},
                          .special = "RMS norm of every q and k head",
                          .norm = norm,
                          .layer = layer};

}  // namespace llm::model
