#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

// Plain attention; softmax over all experts; shared experts are one wide feed-forward.
Layer layer(const Hyper& h, int i, bool normalize) {
  const Attention a = attention(h, i, {.gguf_pairing = RopePairing::adjacent});
  Experts e = experts(h, i, Activation::silu);
  e.router.normalize = normalize;
  const double scale = h.number_or(keys::routed_scale, 0);
  if (scale != 0) e.router.scale = static_cast<float>(scale);
  const auto n_shared = static_cast<int>(h.integer(keys::n_shared, 0, 1 << 10));
  if (n_shared > 0) e.shared = Mlp{.width = n_shared * e.width, .activation = Activation::silu};
  Layer l{.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
  if (i < h.integer_or(keys::n_dense, 0)) l.ffn = mlp(h, i, Activation::silu);
  return l;
}

}  // namespace

const Family deepseek_family{.name = "deepseek",
                             .gguf = {"deepseek"},
                             .special = "the first DeepSeek: llama with experts, shared ones, dense first layers",
                             .norm = norm,
                             .layer = [](const Hyper& h, int i) { return layer(h, i, false); }};

const Family bailingmoe_family{
    .name = "bailingmoe",
    .gguf = {"bailingmoe"},
    .special = "deepseek whose weights of the chosen experts may be divided by their sum",
    .norm = norm,
    .layer = [](const Hyper& h, int i) { return layer(h, i, h.flag_or(keys::routed_norm, false)); }};

}  // namespace llm::model
