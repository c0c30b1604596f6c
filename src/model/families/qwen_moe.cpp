#include <algorithm>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// Layers without experts: every decoder_sparse_step-th has them, mlp_only_layers have none.
bool is_dense(const Hyper& h, int i) {
  const Key listed{"", {"mlp_only_layers"}}, step{"", {"decoder_sparse_step"}};
  const std::vector<double> dense = h.numbers(listed).value_or(std::vector<double>{});
  return std::find(dense.begin(), dense.end(), i) != dense.end() || (i + 1) % h.integer_or(step, 1, 1) != 0;
}

Layer with_experts(const Hyper& h, int i, const Attention& a, bool normalize, bool shared) {
  const Activation act = activation(h, Activation::silu);
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h)};
  if (is_dense(h, i)) {
    l.ffn = mlp(h, i, act);
    return l;
  }
  Experts e = experts(h, i, act);
  const std::int64_t n_ff = h.integer_at_or(keys::n_ff, i, 0);
  if (!h.has(keys::n_ff_expert) && h.gguf()) e.width = static_cast<int>(n_ff / e.router.n_used);
  e.router.normalize = normalize;
  if (shared) {
    const std::int64_t width = h.integer_or(keys::n_ff_shared, h.gguf() ? n_ff : 5632, 1, 1 << 24);
    e.shared = Mlp{.width = static_cast<int>(width), .activation = act};
    e.shared_gate = true;
  }
  l.ffn = e;
  return l;
}

Layer qwen2_moe(const Hyper& h, int i) {
  Attention a = attention(h, i);
  a.qkv_bias = if_gguf_else(h, h.flag_or({"", {"qkv_bias"}}, true));
  a.output_bias = if_gguf_else(h, false);
  set_late_window(h, a, i);
  return with_experts(h, i, a, h.flag_or(keys::routed_norm, false), true);
}

Layer qwen3_moe(const Hyper& h, int i) {
  Attention a = attention(h, i);
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  set_late_window(h, a, i);
  return with_experts(h, i, a, h.flag_or(keys::routed_norm, h.gguf()), false);
}

}  // namespace

const Family qwen2_moe_family{.name = "qwen2_moe",
                              .gguf = {"qwen2moe"},
                              .hugging_face = {"qwen2_moe"},
                              .special = "experts and a shared one behind a sigmoid gate",
                              .norm = norm,
                              .layer = qwen2_moe,
                              .naming = {.names = {{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                                                   {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                                                   {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
                                                   {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"}}}};

const Family qwen3_moe_family{.name = "qwen3_moe",
                              .gguf = {"qwen3moe"},
                              .hugging_face = {"qwen3_moe"},
                              .special = "qwen3 attention, experts",
                              .norm = norm,
                              .layer = qwen3_moe};

}  // namespace llm::model
