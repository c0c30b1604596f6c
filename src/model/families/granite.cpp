#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

constexpr Key attention_scale{"attention.scale", {"attention_multiplier"}};
constexpr Key embedding_scale{"embedding_scale", {"embedding_multiplier"}};
constexpr Key residual_scale{"residual_scale", {"residual_multiplier"}};
constexpr Key logits_divisor{"logit_scale", {"logits_scaling"}};

Layer layer_with(const Hyper& h, int i, const FeedForward& ffn) {
  Attention a = attention(h, i, {.gguf_pairing = RopePairing::adjacent});
  a.scale = static_cast<float>(h.number_or(attention_scale, h.gguf() ? 0 : 1));
  if (!h.flag_or({"rope.scaling.finetuned", {}}, true)) a.rope = {};
  const double scale = h.number_or(residual_scale, 1);
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = ffn};
  l.residual_scale = scale != 0 ? static_cast<float>(scale) : 1;
  return l;
}

Layer granite(const Hyper& h, int i) {
  return layer_with(h, i, mlp(h, i, activation(h, Activation::silu)));
}

Layer granitemoe(const Hyper& h, int i) {
  Experts e = experts(h, i, activation(h, Activation::silu));
  e.router.score = ops::Router::Score::raw;
  e.router.softmax_of_chosen = true;
  e.fused_gate_up = Experts::Fused::halves;
  return layer_with(h, i, e);
}

void finish(const Hyper& h, ModelSpec& m) {
  const double embedding = h.number_or(embedding_scale, 1), divisor = h.number_or(logits_divisor, 1);
  if (embedding != 0) m.decoder.embedding.scale = static_cast<float>(embedding);
  if (divisor != 0) m.head.scale = static_cast<float>(1 / divisor);
}

}  // namespace

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

}  // namespace llm::model
