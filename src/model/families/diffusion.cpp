#include "model/families/families.h"

// Models that write a text by filling masks in any order: decoders whose positions see all others. `fill` asks them.

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

Attention both_sides(const Hyper& h, int i, RopePairing pairing) {
  Attention a = attention(h, i, {.gguf_pairing = pairing});
  a.causal = false;
  return a;
}

Layer dense(const Hyper& h, int i, RopePairing pairing) {
  return {.pre_mixer = norm(h),
          .mixers = {both_sides(h, i, pairing)},
          .pre_ffn = norm(h),
          .ffn = mlp(h, i, activation(h, Activation::silu))};
}

Layer with_experts(const Hyper& h, int i, bool normalize) {
  Attention a = both_sides(h, i, RopePairing::halves);
  a.qk_norm_over = Attention::NormOver::head;
  a.qk_norm = norm(h);
  Experts e = experts(h, i, activation(h, Activation::silu));
  if (!h.has(keys::n_ff_expert)) e.width = static_cast<int>(h.integer_at(keys::n_ff, i) / e.router.n_used);
  e.router.normalize = normalize;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = e};
}

void finish(const Hyper& h, ModelSpec& m) {
  h.use(keys::causal);
  m.head.exists = true;
  m.head.bias = Presence::if_found;
}

}  // namespace

const Family dream_family{.name = "dream",
                          .gguf = {"dream"},
                          .special = "qwen2 that fills masks",
                          .kind = ModelKind::encoder,
                          .norm = norm,
                          .layer = [](const Hyper& h, int i) { return dense(h, i, RopePairing::halves); },
                          .finish = finish};

const Family llada_family{.name = "llada",
                          .gguf = {"llada"},
                          .special = "llama that fills masks",
                          .kind = ModelKind::encoder,
                          .norm = norm,
                          .layer = [](const Hyper& h, int i) { return dense(h, i, RopePairing::adjacent); },
                          .finish = finish};

const Family llada_moe_family{.name = "llada-moe",
                              .gguf = {"llada-moe"},
                              .special = "llada with experts; norms of q and k heads",
                              .kind = ModelKind::encoder,
                              .norm = norm,
                              .layer = [](const Hyper& h, int i) { return with_experts(h, i, false); },
                              .finish = finish};

const Family rnd1_family{.name = "rnd1",
                         .gguf = {"rnd1"},
                         .special = "qwen3_moe that fills masks",
                         .kind = ModelKind::encoder,
                         .norm = norm,
                         .layer = [](const Hyper& h, int i) { return with_experts(h, i, true); },
                         .finish = finish};

}  // namespace llm::model
