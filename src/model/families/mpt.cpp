#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5, if_gguf_else(h, false));
}

constexpr Key clip{"attention.clamp_kqv", {"attn_config.clip_qkv"}};
constexpr Key max_bias{"attention.max_alibi_bias", {"attn_config.alibi_bias_max"}};

// Slopes fall over the next power of two of heads; if that is more than there are, every second comes first.
std::vector<float> slopes(int n_head, double bias) {
  int power = 1;
  while (power < n_head) power *= 2;
  std::vector<float> all;
  all.reserve(static_cast<std::size_t>(power));
  for (int k = 0; k < power; ++k) all.push_back(static_cast<float>(std::exp2(-bias * (k + 1) / power)));
  if (power == n_head) return all;
  std::vector<float> chosen;
  for (int k = 1; k < power; k += 2) chosen.push_back(all[static_cast<std::size_t>(k)]);
  for (int k = 0; k < power; k += 2) chosen.push_back(all[static_cast<std::size_t>(k)]);
  chosen.resize(static_cast<std::size_t>(n_head));
  return chosen;
}

Layer layer(const Hyper& h, int i) {
  h.expect_flag({"", {"attn_config.alibi"}}, true, "learned positions are not supported");
  h.expect_flag({"", {"attn_config.qk_ln"}}, false, "norms of q and k are not supported");
  h.expect_flag({"", {"attn_config.prefix_lm"}}, false, "causal attention only");
  const Key kind{"", {"attn_config.attn_type"}};
  if (const std::string name = h.text_or(kind, "multihead_attention"); name != "multihead_attention") {
    h.fail(kind, name, "multihead_attention");
  }
  h.expect_flag({"", {"no_bias"}}, true, "biases are not supported");
  Attention a = attention(h, i, {.has_rope = false});
  a.qkv_bias = a.output_bias = if_gguf_else(h, false);
  a.scale = static_cast<float>(h.number_or({"", {"attn_config.softmax_scale"}}, 0));
  a.clamp = static_cast<float>(h.number_or(clip, 0, 0));
  const double bias = h.number_or(max_bias, h.gguf() ? 0 : 8, 0);
  if (bias > 0) a.alibi_slopes = slopes(a.n_head, bias);
  Mlp m = mlp(h, i, Activation::gelu_erf, false, 4 * static_cast<int>(h.integer(keys::n_embd)));
  m.bias = if_gguf_else(h, false);
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

void finish(const Hyper& h, ModelSpec& m) {
  if (!h.is_text(keys::logit_scale)) m.head.scale = static_cast<float>(h.number_or(keys::logit_scale, 1));
}

}  // namespace

const Family mpt_family{.name = "mpt",
                        .gguf = {"mpt"},
                        .hugging_face = {"mpt"},
                        .special = "ALiBi with an order of its own; clamped q, k, v; no biases",
                        .defaults = {.tied = true},
                        .norm = norm,
                        .layer = layer,
                        .finish = finish,
                        .naming = {.prefixes = {"transformer.", ""},
                                   .layer = "blocks.{}.",
                                   .names = {{"token_embd", "wte"},
                                             {"output_norm", "norm_f"},
                                             {"attn_norm", "norm_1"},
                                             {"attn_qkv", "attn.Wqkv"},
                                             {"attn_output", "attn.out_proj"},
                                             {"ffn_norm", "norm_2"},
                                             {"ffn_up", "ffn.up_proj"},
                                             {"ffn_down", "ffn.down_proj"}}}};

}  // namespace llm::model
