#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.has_rope = false});
  a.alibi_slopes = alibi_slopes(a.n_head);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, Activation::silu)};
}

}  // namespace

const Family refact_family{.name = "refact",
                           .gguf = {"refact"},
                           .special = "llama with ALiBi and one key/value head",
                           .norm = norm,
                           .layer = layer};

}  // namespace llm::model
