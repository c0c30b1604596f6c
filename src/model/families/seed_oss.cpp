#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.head_dim = 128, .n_head_kv = 8});
  a.qkv_bias = by_key(h, keys::attention_bias, true);
  a.output_bias = by_key(h, {"", {"attention_out_bias"}}, false);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = mlp(h, i, activation(h, Activation::silu))};
}

}  // namespace

const Family seed_oss_family{.name = "seed_oss",
                             .gguf = {"seed_oss"},
                             .hugging_face = {"seed_oss"},
                             .special = "biases on q, k and v; head size of its own",
                             .norm = norm,
                             .layer = layer,
                             .gguf_names = {{"ffn_norm", "post_attention_norm"}}};

}  // namespace llm::model
