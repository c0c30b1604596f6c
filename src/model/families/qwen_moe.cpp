#include <fmt/format.h>

#include <algorithm>

#include "model/families/families.h"
#include "model/parts_recurrent.h"

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

// All but the mixer. default_shared: width of the shared expert where config.json names none; 0: there is no such
// expert.
Layer with_experts(const Hyper& h, int i, bool normalize, int default_shared, const ExpertsDefaults& defaults = {}) {
  const Activation act = activation(h, Activation::silu);
  Layer l{.pre_mixer = norm(h), .pre_ffn = norm(h)};
  if (is_dense(h, i)) {
    l.ffn = mlp(h, i, act);
    return l;
  }
  Experts e = experts(h, i, act, defaults);
  const std::int64_t n_ff = h.integer_at_or(keys::n_ff, i, 0);
  if (!h.has(keys::n_ff_expert) && h.gguf()) e.width = static_cast<int>(n_ff / e.router.n_used);
  e.router.normalize = normalize;
  if (default_shared != 0) {
    const std::int64_t width = h.integer_or(keys::n_ff_shared, h.gguf() ? n_ff : default_shared, 1, 1 << 24);
    e.shared = Mlp{.width = static_cast<int>(width), .activation = act};
    e.shared_gate = true;
  }
  l.ffn = e;
  return l;
}

Layer qwen2_moe(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 16});
  a.qkv_bias = if_gguf_else(h, h.flag_or({"", {"qkv_bias"}}, true));
  a.output_bias = if_gguf_else(h, false);
  if (!h.gguf()) {
    const bool early = i % 2 == 0 && i < h.integer_or({"", {"max_window_layers"}}, 28);
    set_switched_window(h, a, windowed_by_type(h, i).value_or(early));
  }
  Layer l = with_experts(h, i, h.flag_or(keys::routed_norm, false), 5632, {.count = 60, .used = 4});
  l.mixers.emplace_back(a);
  return l;
}

Layer qwen3_moe(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 4});
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  set_switched_window(h, a, true);
  h.use({"", {"max_window_layers"}});
  Layer l = with_experts(h, i, h.flag_or(keys::routed_norm, h.gguf()), 0, {.count = 128, .used = 8});
  l.mixers.emplace_back(a);
  return l;
}

// Where the file names a window: three windowed layers to a full one.
Layer mellum(const Hyper& h, int i) {
  Attention a = attention(h, i);
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  const std::int64_t window = h.integer_or(keys::window, 0);
  const Key local_base{"rope.freq_base_swa"};
  const double base = h.number_or(local_base, a.rope.base, 1);
  if (window > 0 && windowed_by_pattern(h, i, 4)) {
    set_window(a, window);
    a.rope.base = base;
  }
  Layer l = with_experts(h, i, true, 0);
  l.mixers.emplace_back(a);
  return l;
}

// Every full_attention_interval-th layer is attention unless the file lists the kinds.
bool is_linear(const Hyper& h, int i) {
  const Key listed{"attention.recurrent_layers"};
  const std::int64_t interval = h.integer_or({"full_attention_interval", {"full_attention_interval"}}, 4, 1);
  const bool by_interval = (i + 1) % interval != 0;
  if (h.gguf()) return h.is_array(listed) ? h.integer_at(listed, i, 0, 1) == 1 : by_interval;
  return recurrent_by_type(h, i, "linear_attention", "full_attention").value_or(by_interval);
}

GatedDelta delta_mixer(const Hyper& h) {
  constexpr std::int64_t max_width = 1 << 16;
  const auto number = [&](std::string_view gguf, std::string_view config, std::int64_t otherwise) {
    const Key key{gguf, {config}};
    return static_cast<int>(h.gguf() ? h.integer(key, 1, max_width) : h.integer_or(key, otherwise, 1, max_width));
  };
  const Key inner_key{"ssm.inner_size"}, value_heads_key{"ssm.time_step_rank", {"linear_num_value_heads"}};
  GatedDelta g;
  g.n_key_heads = number("ssm.group_count", "linear_num_key_heads", 16);
  g.n_value_heads = number("ssm.time_step_rank", "linear_num_value_heads", 32);
  g.key_dim = number("ssm.state_size", "linear_key_head_dim", 128);
  g.conv = conv_width(h, {"ssm.conv_kernel", {"linear_conv_kernel_dim"}});
  g.norm_eps = norm(h).eps;
  if (g.n_value_heads % g.n_key_heads != 0) {
    h.fail(value_heads_key, fmt::format("{}", g.n_value_heads),
           fmt::format("a multiple of {} key heads", g.n_key_heads));
  }
  if (!h.gguf()) {
    g.value_dim = number("", "linear_value_head_dim", 128);
    return g;
  }
  const std::int64_t inner = h.integer(inner_key, 1, 1 << 24);
  if (inner % g.n_value_heads != 0) {
    h.fail(inner_key, fmt::format("{}", inner), fmt::format("a multiple of {} heads", g.n_value_heads));
  }
  g.value_dim = static_cast<int>(inner / g.n_value_heads);
  return g;
}

Layer qwen3_next(const Hyper& h, int i) {
  h.expect_flag({"", {"use_sliding_window"}}, false, "no windows");
  Attention a = attention(h, i, {.head_dim = 256, .n_head_kv = 2, .rope_fraction = 0.25});
  a.output_gate = true;
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  const GatedDelta g = delta_mixer(h);
  Layer l = with_experts(h, i, h.flag_or(keys::routed_norm, true), 512, {.count = 512, .used = 10});
  if (is_linear(h, i)) {
    l.mixers.emplace_back(g);
  } else {
    l.mixers.emplace_back(a);
  }
  return l;
}

// Recurrent layers have a list of their own, and the attention's number of heads.
void qwen3_next_keys(const ModelSpec& m, GgufKeys& keys) {
  std::vector<std::int64_t> recurrent;
  for (const Layer& layer : m.decoder.layers) {
    recurrent.push_back(std::holds_alternative<GatedDelta>(layer.mixers.front()) ? 1 : 0);
  }
  keys["attention.recurrent_layers"] = recurrent;
  keys["attention.head_count_kv"] = std::int64_t{m.n_head_kv};
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
                              .gguf = {"qwen3moe", "qwen3vlmoe"},
                              .hugging_face = {"qwen3_moe"},
                              .special = "qwen3 attention, experts",
                              .norm = norm,
                              .layer = qwen3_moe};

const Family mellum_family{
    .name = "mellum", .gguf = {"mellum"}, .special = "qwen3_moe with windowed layers", .norm = norm, .layer = mellum};

const Family qwen3_next_family{
    .name = "qwen3_next",
    .gguf = {"qwen3next"},
    .hugging_face = {"qwen3_next"},
    .special = "three gated delta nets to one attention with a gate on its output; experts and a shared one",
    .norm = norm,
    .layer = qwen3_next,
    .naming = {.names = {{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                         {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                         {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
                         {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
                         {"ssm_in", "linear_attn.in_proj_qkvz"},
                         {"ssm_ba", "linear_attn.in_proj_ba"},
                         {"ssm_conv1d", "linear_attn.conv1d"},
                         {"ssm_dt.bias", "linear_attn.dt_bias"},
                         {"ssm_a.weight", "linear_attn.A_log"},
                         {"ssm_norm", "linear_attn.norm"},
                         {"ssm_out", "linear_attn.out_proj"}}},
    .gguf_names = {{"ffn_norm", "post_attention_norm"}, {"ssm_a.weight", "ssm_a"}},
    .rules = {{"ssm_a.weight", Adapt::negative_exp},
              {"attn_norm.weight", Adapt::plus_one},
              {"ffn_norm.weight", Adapt::plus_one},
              {"attn_q_norm.weight", Adapt::plus_one},
              {"attn_k_norm.weight", Adapt::plus_one},
              {"output_norm.weight", Adapt::plus_one}},
    .writing = {.keys = qwen3_next_keys},
};

}  // namespace llm::model
