#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

// Where config.json has no word of it.
const RopeScaling published_scaling{
    .kind = RopeScaling::Kind::yarn, .factor = 32, .original_context = 4096, .truncate = false};

Layer layer(const Hyper& h, int i) {
  Attention a = attention(h, i,
                          {.rope_base = h.gguf() ? 10'000.0 : 150'000.0,
                           .rope = {.scaling = published_scaling},
                           .head_dim = 64,
                           .n_head_kv = 8});
  a.qkv_bias = a.output_bias = by_key(h, keys::attention_bias, true);
  a.sinks = true;
  const std::optional<bool> typed = h.gguf() ? std::nullopt : windowed_by_type(h, i);
  const std::int64_t window = h.gguf() ? h.integer(keys::window) : h.integer_or(keys::window, 128);
  if (typed.value_or(windowed_by_pattern(h, i, 2))) set_window(a, window);
  const Key alpha{"", {"swiglu_alpha"}};
  const double steepness = h.number_or(alpha, 1.702);
  if (std::fabs(steepness - 1.702) > 1e-6) h.fail(alpha, std::to_string(steepness), "1.702");
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 128, .used = 4});
  e.router.score = ops::Router::Score::raw;
  e.router.softmax_of_chosen = true;
  e.router_bias = e.bias = true;
  e.limit = static_cast<float>(h.number_or({"", {"swiglu_limit"}}, 7, 0));
  e.fused_gate_up = Experts::Fused::interleaved;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
}

}  // namespace

const Family gpt_oss_family{.name = "gpt_oss",
                            .gguf = {"gpt-oss"},
                            .hugging_face = {"gpt_oss"},
                            .special = "attention sinks; window on even layers; clamped experts with biases, MXFP4",
                            .norm = norm,
                            .layer = layer,
                            .naming = {.names = {{"attn_sinks.weight", "self_attn.sinks"},
                                                 {"ffn_gate_inp", "mlp.router"},
                                                 {"ffn_gate_up_exps.weight", "mlp.experts.gate_up_proj"},
                                                 {"ffn_gate_up_exps.bias", "mlp.experts.gate_up_proj_bias"},
                                                 {"ffn_down_exps.weight", "mlp.experts.down_proj"},
                                                 {"ffn_down_exps.bias", "mlp.experts.down_proj_bias"}}},
                            .gguf_names = {{"ffn_norm", "post_attention_norm"}}};

}  // namespace llm::model
