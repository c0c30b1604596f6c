#include <cmath>

#include "formats/quote.h"
#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

constexpr Key attention_scale{"attention.scale", {"attention_multiplier"}};
constexpr Key embedding_scale{"embedding_scale", {"embedding_multiplier"}};
constexpr Key residual_scale{"residual_scale", {"residual_multiplier"}};
constexpr Key logits_divisor{"logit_scale", {"logits_scaling"}};

Attention scaled_attention(const Hyper& h, int i) {
  Attention a = attention(h, i, {.gguf_pairing = RopePairing::adjacent});
  a.scale = static_cast<float>(h.number_or(attention_scale, h.gguf() ? 0 : 1));
  if (!h.flag_or({"rope.scaling.finetuned", {}}, true)) a.rope.dims = 0;
  return a;
}

// All but the mixer.
Layer layer_with(const Hyper& h, const FeedForward& ffn) {
  const double scale = h.number_or(residual_scale, 1);
  Layer l{.pre_mixer = norm(h), .pre_ffn = norm(h), .ffn = ffn};
  l.residual_scale = scale != 0 ? static_cast<float>(scale) : 1;
  return l;
}

Experts routed_experts(const Hyper& h, int i) {
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 8, .used = 2});
  e.router.score = ops::Router::Score::raw;
  e.router.softmax_of_chosen = true;
  e.fused_gate_up = Experts::Fused::halves;
  return e;
}

Layer granite(const Hyper& h, int i) {
  Layer l = layer_with(h, mlp(h, i, activation(h, Activation::silu)));
  l.mixers.emplace_back(scaled_attention(h, i));
  return l;
}

Layer granitemoe(const Hyper& h, int i) {
  Layer l = layer_with(h, routed_experts(h, i));
  l.mixers.emplace_back(scaled_attention(h, i));
  return l;
}

// Experts and a shared feed-forward; without experts the shared one alone.
FeedForward hybrid_ffn(const Hyper& h, int i) {
  constexpr std::int64_t max_width = 1 << 24;
  const Key shared_width{"expert_shared_feed_forward_length", {"shared_intermediate_size"}};
  const Activation act = activation(h, Activation::silu);
  const std::int64_t n_shared = h.integer_or(shared_width, h.gguf() ? 0 : 1024, h.gguf() ? 0 : 1, max_width);
  const Mlp shared{.width = static_cast<int>(n_shared), .activation = act, .gguf_apart = true};
  const bool dense = h.has(keys::n_experts) ? h.integer(keys::n_experts) == 0 : h.gguf();
  if (dense) {
    h.use(keys::n_experts_used);
    h.use(keys::n_ff);
    return h.gguf() ? mlp(h, i, act) : shared;
  }
  Experts e = routed_experts(h, i);
  if (n_shared != 0) e.shared = shared;
  return e;
}

// The norm of folders is over all groups together.
Layer granitemoehybrid(const Hyper& h, int i) {
  h.use({"", {"init_method"}});
  use_mamba2_keys(h);
  const Key norm_name{"", {"normalization_function"}};
  const std::string norms = h.text_or(norm_name, "rmsnorm");
  if (norms != "rmsnorm") h.fail(norm_name, formats::quote(norms), "rmsnorm");
  const Key positions{"", {"position_embedding_type"}};
  const std::string kind = h.text_or(positions, "nope");
  if (kind != "rope" && kind != "nope") h.fail(positions, formats::quote(kind), "rope or nope");

  const bool recurrent =
      h.gguf() ? recurrent_by_heads(h, i) : recurrent_by_type(h, i, "mamba", "attention").value_or(true);
  Layer l = layer_with(h, hybrid_ffn(h, i));
  if (recurrent) {
    l.mixers.emplace_back(mamba2_mixer(h, norm(h)));
    return l;
  }
  Attention a = scaled_attention(h, i);
  if (!h.gguf() && kind == "nope") a.rope.dims = 0;
  l.mixers.emplace_back(a);
  return l;
}

void finish(const Hyper& h, ModelSpec& m) {
  const double embedding = h.number_or(embedding_scale, 1), divisor = h.number_or(logits_divisor, 1);
  if (embedding != 0) m.decoder.embedding.scale = static_cast<float>(embedding);
  if (divisor != 0) m.head.scale = static_cast<float>(1 / divisor);
}

// Without keys: those that all its models were trained with.
Layer minicpm(const Hyper& h, int i) {
  Layer l{.pre_mixer = norm(h), .pre_ffn = norm(h), .ffn = mlp(h, i, Activation::silu)};
  l.mixers.emplace_back(attention(h, i, {.gguf_pairing = RopePairing::adjacent}));
  l.residual_scale = static_cast<float>(h.number_or(residual_scale, 1.4 / std::sqrt(h.n_layer())));
  return l;
}

void finish_minicpm(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.scale = static_cast<float>(h.number_or(embedding_scale, 12));
  const double divisor = h.number_or(logits_divisor, m.n_embd / 256.0);
  if (divisor != 0) m.head.scale = static_cast<float>(1 / divisor);
}

// Whether attention rotates.
void hybrid_keys(const ModelSpec& m, GgufKeys& keys) {
  keys.erase("rope.scaling.finetuned");
  for (const Layer& layer : m.decoder.layers) {
    const auto* a = std::get_if<Attention>(&layer.mixers.front());
    if (a != nullptr && a->rope.dims == 0) keys["rope.scaling.finetuned"] = false;
  }
}

}  // namespace

const Family minicpm_family{.name = "minicpm",
                            .gguf = {"minicpm"},
                            .special = "granite with multipliers of its own where the file names none",
                            .norm = norm,
                            .layer = minicpm,
                            .finish = finish_minicpm};

const Family granite_family{.name = "granite",
                            .gguf = {"granite"},
                            .hugging_face = {"granite"},
                            .special = "multipliers of embeddings, scores, branches and logits",
                            .norm = norm,
                            .layer = granite,
                            .finish = finish};

const Family granitemoe_family{.name = "granitemoe",
                               .gguf = {"granitemoe"},
                               .hugging_face = {"granitemoe"},
                               .special = "granite; experts weighted by a softmax over the chosen",
                               .norm = norm,
                               .layer = granitemoe,
                               .finish = finish,
                               .naming = {.names = {{"ffn_gate_inp", "block_sparse_moe.router.layer"},
                                                    {"ffn_gate_up_exps", "block_sparse_moe.input_linear"},
                                                    {"ffn_down_exps", "block_sparse_moe.output_linear"}}}};

const Family granitemoehybrid_family{
    .name = "granitemoehybrid",
    .gguf = {"granitehybrid"},
    .hugging_face = {"granitemoehybrid"},
    .special = "granite; most layers mamba2; experts beside a shared feed-forward, or that alone",
    .norm = norm,
    .layer = granitemoehybrid,
    .finish = finish,
    .naming = {.names = {{"ffn_gate_inp", "block_sparse_moe.router.layer"},
                         {"ffn_gate_up_exps", "block_sparse_moe.input_linear"},
                         {"ffn_down_exps", "block_sparse_moe.output_linear"},
                         {"ffn_up", "shared_mlp.input_linear"},
                         {"ffn_down", "shared_mlp.output_linear"},
                         {"ffn_up_shexp", "shared_mlp.input_linear"},
                         {"ffn_down_shexp", "shared_mlp.output_linear"},
                         {"ssm_in", "mamba.in_proj"},
                         {"ssm_conv1d", "mamba.conv1d"},
                         {"ssm_dt.bias", "mamba.dt_bias"},
                         {"ssm_a.weight", "mamba.A_log"},
                         {"ssm_d.weight", "mamba.D"},
                         {"ssm_norm", "mamba.norm"},
                         {"ssm_out", "mamba.out_proj"}}},
    .gguf_names = {{"ssm_a.weight", "ssm_a"}, {"ssm_d.weight", "ssm_d"}},
    .rules = {{"ssm_a.weight", Adapt::negative_exp}},
    .writing = {.keys = hybrid_keys},
};

}  // namespace llm::model
