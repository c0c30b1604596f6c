#include <fmt/format.h>

#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

// Converters fold the multipliers into the weights of GGUF files.
float multiplier(const Hyper& h, std::string_view name) {
  return static_cast<float>(h.number_or({"", {name}}, 1));
}

// One that is divided by.
float divisor(const Hyper& h, std::string_view name) {
  const float factor = multiplier(h, name);
  if (factor == 0) h.fail({"", {name}}, "0", "another number");
  return factor;
}

std::vector<float> multipliers(const Hyper& h, std::string_view name, std::size_t count) {
  const Key key{"", {name}};
  const std::vector<double> given = h.numbers(key).value_or(std::vector<double>(count, 1));
  if (given.size() != count) h.fail(key, fmt::format("{} numbers", given.size()), fmt::format("{}", count));
  return {given.begin(), given.end()};
}

Mamba2::Gate gate(const Hyper& h, int i) {
  if (h.gguf()) {
    const bool has_norm = h.file().find_tensor(fmt::format("blk.{}.ssm_norm.weight", i)) != nullptr;
    return has_norm ? Mamba2::Gate::norm_after : Mamba2::Gate::plain;
  }
  const bool before_gate = h.flag_or({"", {"mamba_norm_before_gate"}}, true);
  if (!h.flag_or({"", {"mamba_rms_norm"}}, false)) return Mamba2::Gate::plain;
  return before_gate ? Mamba2::Gate::norm_before : Mamba2::Gate::norm_after;
}

Mamba2 state_space(const Hyper& h, int i) {
  Mamba2 m = mamba2_mixer(h, norm(h), {"ssm.inner_size", {"mamba_d_ssm"}});
  h.use(keys::ssm_expand);
  m.output_bias = by_key(h, {"", {"projectors_bias"}}, false);
  m.gate = gate(h, i);
  m.input_scale = divisor(h, "ssm_in_multiplier");
  m.output_scale = multiplier(h, "ssm_out_multiplier");
  if (!h.gguf()) m.part_scales = multipliers(h, "ssm_multipliers", 5);
  return m;
}

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i, {.n_head_kv = 8});
  a.input_scale = divisor(h, "attention_in_multiplier");
  a.key_scale = multiplier(h, "key_multiplier");
  a.output_scale = multiplier(h, "attention_out_multiplier");
  Mlp m = mlp(h, i, activation(h, Activation::silu));
  const std::vector<float> scales = multipliers(h, "mlp_multipliers", 2);
  m.gate_scale = scales[0];
  m.output_scale = scales[1];
  return {.pre_mixer = norm(h), .mixers = {state_space(h, i), a}, .pre_ffn = norm(h), .ffn = m};
}

void finish(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.scale = multiplier(h, "embedding_multiplier");
  m.head.scale = multiplier(h, "lm_head_multiplier");
  h.expect_flag({"", {"mamba_use_mlp"}}, true, "a feed-forward in every layer");
  h.use({"", {"mlp_expansion_factor"}});
  const Key listed{"", {"attn_layer_indices"}};
  if (h.has(listed)) h.fail(listed, "a list", "null: attention in every layer");
}

}  // namespace

const Family falcon_h1_family{
    .name = "falcon_h1",
    .gguf = {"falcon-h1"},
    .hugging_face = {"falcon_h1"},
    .special = "attention and mamba2 side by side in every layer; multipliers of everything",
    .norm = norm,
    .layer = layer,
    .finish = finish,
    .naming = {.names = {{"output_norm", "final_layernorm"},
                         {"ffn_norm", "pre_ff_layernorm"},
                         {"ffn_gate", "feed_forward.gate_proj"},
                         {"ffn_up", "feed_forward.up_proj"},
                         {"ffn_down", "feed_forward.down_proj"},
                         {"ssm_in", "mamba.in_proj"},
                         {"ssm_conv1d", "mamba.conv1d"},
                         {"ssm_dt.bias", "mamba.dt_bias"},
                         {"ssm_a.weight", "mamba.A_log"},
                         {"ssm_d.weight", "mamba.D"},
                         {"ssm_norm", "mamba.norm"},
                         {"ssm_out", "mamba.out_proj"}}},
    .gguf_names = {{"ssm_a.weight", "ssm_a"}, {"ssm_d.weight", "ssm_d"}, {"ffn_norm.weight", "ffn_norm"}},
    .rules = {{"ssm_a.weight", Adapt::negative_exp}},
    .writing = {.scaled_weights = true},
};

}  // namespace llm::model
