#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// Older folders name the number of rotated entries.
double rotated_fraction(const Hyper& h) {
  const Key dims{"", {"rotary_dim"}};
  if (h.gguf() || !h.has(dims)) return 1;
  return h.number(dims, 0) / h.number_or(keys::head_dim, 128, 1);
}

Layer layer(const Hyper& h, int i) {
  const double rotated = rotated_fraction(h);
  Attention a = attention(
      h, i,
      {.rope_base = h.gguf() ? 10'000.0 : 5'000'000.0, .head_dim = 128, .n_head_kv = 8, .rope_fraction = rotated});
  a.qk_norm_over = Attention::NormOver::row;
  a.qk_norm = norm(h);
  h.expect_flag({"", {"use_qk_norm"}}, true, "norms of q and k");
  h.expect_flag({"", {"use_routing_bias"}}, true, "a bias for choosing experts");
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 256, .used = 8});
  set_sigmoid_router(h, e);
  e.router.normalize = true;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
}

}  // namespace

const Family minimax_m2_family{
    .name = "minimax_m2",
    .gguf = {"minimax-m2"},
    .hugging_face = {"minimax_m2"},
    .special = "partial rotation; norm over all of q and k; sigmoid router with a bias for choosing",
    .norm = norm,
    .layer = layer,
    .naming = {.names = {{"ffn_gate_inp", "block_sparse_moe.gate"},
                         {"exp_probs_b.bias", "block_sparse_moe.e_score_correction_bias"},
                         {"ffn_gate_exps", "block_sparse_moe.experts.{}.w1"},
                         {"ffn_down_exps", "block_sparse_moe.experts.{}.w2"},
                         {"ffn_up_exps", "block_sparse_moe.experts.{}.w3"}}}};

}  // namespace llm::model
