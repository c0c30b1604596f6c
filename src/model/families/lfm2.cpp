#include <algorithm>
#include <cmath>

#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

constexpr Key ff_width{"feed_forward_length", {"block_ff_dim", "intermediate_size"}};

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

// Without any list every layer is attention.
bool is_conv(const Hyper& h, int i) {
  if (h.gguf()) return recurrent_by_heads(h, i);
  const std::optional<std::vector<double>> full = h.numbers({"", {"full_attn_idxs"}});
  if (const std::optional<bool> typed = recurrent_by_type(h, i, "conv", "full_attention")) return *typed;
  return full && std::find(full->begin(), full->end(), i) == full->end();
}

// config.json: two thirds of the named width times a factor, rounded up, unless block_auto_adjust_ff_dim is false.
int ffn_width(const Hyper& h, int i) {
  constexpr std::int64_t max_width = 1 << 24;
  std::int64_t width = h.integer_at(ff_width, i, 1, max_width);
  const bool adjust = h.flag_or({"", {"block_auto_adjust_ff_dim"}}, true);
  const Key factor_key{"", {"block_ffn_dim_multiplier"}};
  const double factor = h.number_or(factor_key, 1, 0);
  const std::int64_t multiple = h.integer_or({"", {"block_multiple_of"}}, 256, 1, max_width);
  if (h.gguf() || !adjust) return static_cast<int>(width);
  width = 2 * width / 3;
  if (h.is_null(factor_key)) return static_cast<int>(std::max<std::int64_t>(width, 1));
  const double scaled = factor * static_cast<double>(width);
  if (scaled < 1 || scaled > static_cast<double>(max_width)) {
    h.fail(factor_key, std::to_string(factor), "a factor that gives a width of 1 to 2^24");
  }
  width = static_cast<std::int64_t>(scaled);
  return static_cast<int>((width + multiple - 1) / multiple * multiple);
}

Layer layer(const Hyper& h, int i) {
  Layer l{.pre_mixer = norm(h), .pre_ffn = norm(h), .ffn = Mlp{.width = ffn_width(h, i)}};
  const Presence bias = by_key(h, {"", {"conv_bias"}}, false);
  const int conv = conv_width(h, {"shortconv.l_cache", {"conv_L_cache"}}, 3);
  if (is_conv(h, i)) {
    l.mixers = {ShortConv{.inner = static_cast<int>(h.integer(keys::n_embd)), .conv = conv, .bias = bias}};
    return l;
  }
  Attention a = attention(h, i, {.rope_base = 1'000'000, .n_head_kv = 8});
  a.rope.base = h.number_or({"", {"theta"}}, a.rope.base, 2);
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  l.mixers = {a};
  return l;
}

// The first layers are dense.
Layer moe_layer(const Hyper& h, int i) {
  const std::int64_t n_dense = h.integer_or({"leading_dense_block_count", {"num_dense_layers"}}, h.gguf() ? 0 : 2);
  Layer l = layer(h, i);
  const Activation act = activation(h, Activation::silu);
  if (i < n_dense) {
    l.ffn = mlp(h, i, act);
    return l;
  }
  Experts e = experts(h, i, act, {.count = 32, .used = 4});
  set_sigmoid_router(h, e);
  e.correction_bias = h.flag_or({"", {"use_expert_bias"}}, true);
  e.router.normalize = h.gguf() || h.flag_or(keys::routed_norm, true);
  if (!h.gguf()) e.router.sum_offset = 1e-6f;
  l.ffn = e;
  return l;
}

void finish(const Hyper& h, ModelSpec& m) {
  h.expect_flag({"", {"block_use_swiglu"}}, true, "a gated feed-forward");
  h.expect_flag({"", {"use_pos_enc"}}, true, "rotary positions");
  m.head.tied = h.gguf() ? m.head.tied : h.flag_or({"", {"tie_embedding"}}, m.head.tied);
  // Of training, or what other keys say.
  for (const std::string_view key :
       {"block_mlp_init_scale", "block_out_init_scale", "block_use_xavier_init", "conv_use_xavier_init", "block_dim",
        "block_norm_eps", "conv_dim", "conv_dim_out", "num_heads"}) {
    h.use({"", {key}});
  }
}

std::vector<TensorName> names(std::vector<TensorName> more) {
  const std::vector<TensorName> common = {{"output_norm", "embedding_norm"},
                                          {"attn_norm", "operator_norm"},
                                          {"ffn_norm", "ffn_norm"},
                                          {"attn_q_norm", "self_attn.q_layernorm"},
                                          {"attn_k_norm", "self_attn.k_layernorm"},
                                          {"attn_output", "self_attn.out_proj"},
                                          {"shortconv.in_proj", "conv.in_proj"},
                                          {"shortconv.conv", "conv.conv"},
                                          {"shortconv.out_proj", "conv.out_proj"},
                                          {"ffn_gate", "feed_forward.w1"},
                                          {"ffn_up", "feed_forward.w3"},
                                          {"ffn_down", "feed_forward.w2"}};
  more.insert(more.end(), common.begin(), common.end());
  return more;
}

}  // namespace

const Family lfm2_moe_family{
    .name = "lfm2_moe",
    .gguf = {"lfm2moe"},
    .hugging_face = {"lfm2_moe"},
    .special = "lfm2 with experts: sigmoid router with a bias for choosing, dense first layers",
    .defaults = {.tied = true},
    .norm = norm,
    .layer = moe_layer,
    .finish = finish,
    .naming = {.names = names({{"ffn_gate_inp", "feed_forward.gate"},
                               {"exp_probs_b.bias", "feed_forward.expert_bias"},
                               {"ffn_gate_exps", "feed_forward.experts.{}.w1"},
                               {"ffn_up_exps", "feed_forward.experts.{}.w3"},
                               {"ffn_down_exps", "feed_forward.experts.{}.w2"}})},
    .gguf_names = {{"output_norm", "token_embd_norm"}},
};

const Family lfm2_family{
    .name = "lfm2",
    .gguf = {"lfm2"},
    .hugging_face = {"lfm2"},
    .special = "gated short convolutions, some layers attention; norms of q and k heads",
    .defaults = {.tied = true},
    .norm = norm,
    .layer = layer,
    .finish = finish,
    .naming = {.names = names({})},
    .gguf_names = {{"output_norm", "token_embd_norm"}},
};

}  // namespace llm::model
