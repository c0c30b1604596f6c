#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

// A layer may have no attention, or no feed-forward.
Layer layer(const Hyper& h, int i) {
  Layer l;
  if (h.integer_at(keys::n_head, i) > 0) {
    l.pre_mixer = norm(h);
    l.mixers.emplace_back(attention(h, i, {.gguf_pairing = RopePairing::adjacent}));
  }
  if (h.integer_at(keys::n_ff, i) > 0) {
    l.pre_ffn = norm(h);
    l.ffn = mlp(h, i, Activation::silu);
  }
  return l;
}

}  // namespace

const Family deci_family{.name = "deci",
                         .gguf = {"deci"},
                         .special = "llama whose layers differ in heads and width; some lack attention or feed-forward",
                         .norm = norm,
                         .layer = layer};

}  // namespace llm::model
