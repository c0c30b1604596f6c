#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

constexpr Key alpha{"rope.scaling.alpha", {"rope_scaling.alpha", "rope_parameters.alpha"}};

// Of dynamic scaling with alpha only the base is used: base * alpha^(d / (d - 2)).
Attention hunyuan_attention(const Hyper& h, int i) {
  Attention a = attention(h, i);
  const double factor = h.number_or(alpha, 0);
  for (const char* unread : {"beta_fast", "beta_slow", "mscale", "mscale_all_dim"}) {
    const std::string old_style = std::string("rope_scaling.") + unread,
                      new_style = std::string("rope_parameters.") + unread;
    h.use({"", {old_style, new_style}});
  }
  if (factor > 0) {
    const double d = a.rope.dims;
    a.rope.base *= std::pow(factor, d / (d - 2));
    a.rope.scaling = {};
  }
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  a.qk_norm_after_rope = true;
  return a;
}

Layer dense(const Hyper& h, int i) {
  return {.pre_mixer = norm(h),
          .mixers = {hunyuan_attention(h, i)},
          .pre_ffn = norm(h),
          .ffn = mlp(h, i, activation(h, Activation::silu))};
}

Layer moe(const Hyper& h, int i) {
  const Activation act = activation(h, Activation::silu);
  Experts e = experts(h, i, act, {.count = 1, .used = 1});
  if (!h.gguf()) e.width = mlp(h, i, act).width;  // moe_intermediate_size is for converters
  e.router.normalize = true;
  h.use({"", {"num_shared_expert"}});
  h.use(keys::n_shared);
  const int shared = mlp(h, i, act).width;
  e.shared = Mlp{.width = static_cast<int>(h.integer_or(keys::n_ff_shared, shared, 1, 1 << 24)), .activation = act};
  return {.pre_mixer = norm(h), .mixers = {hunyuan_attention(h, i)}, .pre_ffn = norm(h), .ffn = e};
}

// The same with neighbouring rotary pairs.
Layer maincoder(const Hyper& h, int i) {
  Layer l = dense(h, i);
  std::get<Attention>(l.mixers.front()).rope.pairing = RopePairing::adjacent;
  return l;
}

// The base has the factor in it; shared experts are counted as one.
void gguf_keys(const ModelSpec& m, GgufKeys& keys) {
  keys.erase("rope.scaling.alpha");
  if (std::holds_alternative<Experts>(m.decoder.layers.front().ffn)) keys["expert_shared_count"] = std::int64_t{1};
}

}  // namespace

const Family hunyuan_v1_dense_family{
    .name = "hunyuan_v1_dense",
    .gguf = {"hunyuan-dense", "hunyuan_vl"},
    .hugging_face = {"hunyuan_v1_dense"},
    .special = "norms of q and k heads after the rotation",
    .norm = norm,
    .layer = dense,
    .naming = {.names = {{"attn_q_norm", "self_attn.query_layernorm"}, {"attn_k_norm", "self_attn.key_layernorm"}}},
    .writing = {.keys = gguf_keys}};

const Family maincoder_family{.name = "maincoder",
                              .gguf = {"maincoder"},
                              .special = "hunyuan_v1_dense with neighbouring rotary pairs",
                              .norm = norm,
                              .layer = maincoder};

const Family hunyuan_v1_moe_family{.name = "hunyuan_v1_moe",
                                   .gguf = {"hunyuan-moe"},
                                   .hugging_face = {"hunyuan_v1_moe"},
                                   .special = "hunyuan_v1_dense with experts and a shared one",
                                   .norm = norm,
                                   .layer = moe,
                                   .naming = {.names = {{"attn_q_norm", "self_attn.query_layernorm"},
                                                        {"attn_k_norm", "self_attn.key_layernorm"},
                                                        {"ffn_gate_inp", "mlp.gate.wg"},
                                                        {"ffn_gate_shexp", "mlp.shared_mlp.gate_proj"},
                                                        {"ffn_up_shexp", "mlp.shared_mlp.up_proj"},
                                                        {"ffn_down_shexp", "mlp.shared_mlp.down_proj"}}},
                                   .writing = {.keys = gguf_keys}};

}  // namespace llm::model
