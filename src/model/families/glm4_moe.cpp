#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 8, .rope_fraction = 0.5});
  a.output_bias = if_gguf_else(h, false);
  const bool in_file = h.gguf() && h.file().find_tensor("blk.0.attn_q_norm.weight") != nullptr;
  if (in_file || h.flag_or({"", {"use_qk_norm"}}, false)) {
    a.qk_norm_over = Attention::NormOver::head;
    a.qk_norm = norm(h);
  }
  const Activation act = activation(h, Activation::silu);
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h)};
  Experts e = experts(h, i, act, {.count = 128, .used = 8});
  set_sigmoid_router(h, e);
  const std::int64_t n_shared = h.integer_or(keys::n_shared, h.gguf() ? 0 : 1, 0, 1 << 10);
  if (n_shared > 0) e.shared = Mlp{.width = static_cast<int>(n_shared) * e.width, .activation = act};
  if (i < h.integer_or(keys::n_dense, h.gguf() ? 0 : 1)) {
    l.ffn = mlp(h, i, act);
  } else {
    l.ffn = e;
  }
  return l;
}

}  // namespace

const Family glm4_moe_family{.name = "glm4_moe",
                             .gguf = {"glm4moe"},
                             .hugging_face = {"glm4_moe"},
                             .special = "sigmoid router with a bias for choosing, shared expert, dense first layers",
                             .norm = norm,
                             .layer = layer,
                             .gguf_names = {{"ffn_norm", "post_attention_norm"}}};

}  // namespace llm::model
