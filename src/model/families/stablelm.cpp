#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int i) {
  const auto in_file = [&](const char* name) { return h.file().find_tensor(name) != nullptr; };
  Attention a = attention(h, i, {.n_head_kv = 32, .rope_fraction = 0.25});
  a.qkv_bias = by_key(h, {"", {"use_qkv_bias"}}, false);
  a.output_bias = if_gguf_else(h, false);
  if (h.gguf() ? in_file("blk.0.attn_q_norm.weight") : h.flag_or({"", {"qk_layernorm"}}, false)) {
    a.qk_norm_over = Attention::NormOver::head;
    a.qk_norm = layer_norm(h, 1e-5, Presence::no);
    a.qk_norm_per_head = true;
  }
  const bool flag = h.flag_or({"use_parallel_residual", {"use_parallel_residual"}}, false);
  const bool parallel = h.gguf() ? !in_file("blk.0.ffn_norm.weight") : flag;
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .ffn = mlp(h, i, activation(h, Activation::silu))};
  l.parallel = l.shared_norm = parallel;
  if (!parallel) l.pre_ffn = norm(h);
  return l;
}

}  // namespace

const Family stablelm_family{.name = "stablelm",
                             .gguf = {"stablelm", "orion"},
                             .hugging_face = {"stablelm"},
                             .special = "layer norms; partial rotation; norms of each head; parallel block",
                             .norm = norm,
                             .layer = layer,
                             .naming = {.names = {{"attn_q_norm", "self_attn.q_layernorm.norms.{}"},
                                                  {"attn_k_norm", "self_attn.k_layernorm.norms.{}"}}}};

}  // namespace llm::model
