#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5, if_gguf_else(h, false));
}

Layer parallel(const Hyper& h, int i, const Attention& a) {
  return {.pre_mixer = norm(h),
          .mixers = {a},
          .ffn = mlp(h, i, activation(h, Activation::silu)),
          .parallel = true,
          .shared_norm = true};
}

Layer cohere(const Hyper& h, int i) {
  Attention a = attention(h, i,
                          {.rope_base = h.gguf() ? 10'000.0 : 500'000.0,
                           .gguf_pairing = RopePairing::adjacent,
                           .pairing = RopePairing::adjacent});
  const bool in_file = h.gguf() && h.file().find_tensor("blk.0.attn_q_norm.weight") != nullptr;
  if (in_file || h.flag_or({"", {"use_qk_norm"}}, false)) {
    a.qk_norm_over = Attention::NormOver::head;
    a.qk_norm = layer_norm(h, 1e-5, Presence::no);
    a.qk_norm_per_head = true;
  }
  return parallel(h, i, a);
}

Layer cohere2(const Hyper& h, int i) {
  Attention a = attention(h, i, {.gguf_pairing = RopePairing::adjacent, .pairing = RopePairing::adjacent});
  const std::optional<bool> typed = h.gguf() ? std::nullopt : windowed_by_type(h, i);
  const std::int64_t window = h.gguf() ? h.integer(keys::window) : h.integer_or(keys::window, 4096);
  if (typed.value_or(windowed_by_pattern(h, i, 4))) {
    set_window(a, window);
  } else {
    a.rope = {};
  }
  return parallel(h, i, a);
}

void finish(const Hyper& h, ModelSpec& m) {
  const double scale = h.number_or(keys::logit_scale, h.gguf() ? 0 : 0.0625);
  m.head.scale = scale != 0 ? static_cast<float>(scale) : 1;
}

}  // namespace

const Family cohere_family{.name = "cohere",
                           .gguf = {"command-r"},
                           .hugging_face = {"cohere"},
                           .special = "parallel block with one norm; neighbouring rotary pairs; scaled logits",
                           .defaults = {.tied = true},
                           .norm = norm,
                           .layer = cohere,
                           .finish = finish};

const Family cohere2_family{.name = "cohere2",
                            .gguf = {"cohere2"},
                            .hugging_face = {"cohere2"},
                            .special = "cohere; three windowed layers with rotation to a full one without",
                            .defaults = {.tied = true},
                            .norm = norm,
                            .layer = cohere2,
                            .finish = finish};

}  // namespace llm::model
