#include <fmt/format.h>

#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// Layer i is one of every `period` layers.
bool is_due(const Hyper& h, int i, std::string_view period, std::int64_t default_period, std::string_view offset,
            std::int64_t default_offset) {
  const std::int64_t n = h.integer_or({"", {period}}, default_period, 1);
  return i % n == h.integer_or({"", {offset}}, default_offset);
}

FeedForward ffn(const Hyper& h, int i) {
  const Activation act = activation(h, Activation::silu);
  bool has_experts;
  if (h.gguf()) {
    has_experts = h.file().find_tensor(fmt::format("blk.{}.ffn_gate_inp.weight", i)) != nullptr;
  } else {
    has_experts =
        is_due(h, i, "expert_layer_period", 2, "expert_layer_offset", 1) && h.integer_or(keys::n_experts, 16, 0) > 1;
  }
  h.use(keys::n_experts);
  h.use(keys::n_experts_used);
  if (!has_experts) return mlp(h, i, act);
  return experts(h, i, act, {.count = 16, .used = 2});
}

Layer layer(const Hyper& h, int i) {
  const Key window{"", {"sliding_window"}};
  if (h.has(window)) h.fail(window, "a window", "null");
  h.expect_flag({"", {"mamba_inner_layernorms"}}, true, "norms of dt, B and C");
  h.use({"", {"calc_logits_for_entire_prompt"}});
  Mamba m = mamba_mixer(h);
  m.norm = norm(h);
  m.norm_weights = true;
  const bool recurrent =
      h.gguf() ? recurrent_by_heads(h, i) : !is_due(h, i, "attn_layer_period", 8, "attn_layer_offset", 4);
  Layer l{.pre_mixer = norm(h), .pre_ffn = norm(h), .ffn = ffn(h, i)};
  if (recurrent) {
    l.mixers.emplace_back(m);
  } else {
    l.mixers.emplace_back(attention(h, i, {.n_head_kv = 8, .has_rope = false}));
  }
  return l;
}

}  // namespace

const Family jamba_family{
    .name = "jamba",
    .gguf = {"jamba"},
    .hugging_face = {"jamba"},
    .special = "mamba layers with norms of dt, B and C; some layers attention without positions; some have experts",
    .norm = norm,
    .layer = layer,
    .naming = {.names = {{"output_norm", "final_layernorm"},
                         {"ffn_norm", "pre_ff_layernorm"},
                         {"ffn_gate", "feed_forward.gate_proj"},
                         {"ffn_up", "feed_forward.up_proj"},
                         {"ffn_down", "feed_forward.down_proj"},
                         {"ffn_gate_inp", "feed_forward.router"},
                         {"ffn_gate_exps", "feed_forward.experts.{}.gate_proj"},
                         {"ffn_up_exps", "feed_forward.experts.{}.up_proj"},
                         {"ffn_down_exps", "feed_forward.experts.{}.down_proj"},
                         {"ssm_in", "mamba.in_proj"},
                         {"ssm_conv1d", "mamba.conv1d"},
                         {"ssm_x", "mamba.x_proj"},
                         {"ssm_dt", "mamba.dt_proj"},
                         {"ssm_dt_norm", "mamba.dt_layernorm"},
                         {"ssm_b_norm", "mamba.b_layernorm"},
                         {"ssm_c_norm", "mamba.c_layernorm"},
                         {"ssm_a.weight", "mamba.A_log"},
                         {"ssm_d.weight", "mamba.D"},
                         {"ssm_out", "mamba.out_proj"}}},
    .gguf_names = {{"ssm_a.weight", "ssm_a"}, {"ssm_d.weight", "ssm_d"}},
    .rules = {{"ssm_a.weight", Adapt::negative_exp}},
};

}  // namespace llm::model
