#include <cmath>

#include "model/families/families.h"

namespace llm::model {
namespace {

constexpr std::int64_t max_width = 1 << 24;

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-5);
}

// Of the last norm, whatever config.json says.
Norm final_norm(const Hyper&) {
  return {.kind = NormKind::layer, .eps = 1e-5f, .bias = Presence::yes};
}

// Half-precision models halve the stream after every rescale_every-th layer and add branches scaled likewise.
Layer layer(const Hyper& h, int i) {
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, max_width);
  const std::int64_t inner = h.integer_or({"", {"attention_hidden_size"}}, n_embd, 1, max_width);
  const std::int64_t width = h.integer_or(keys::n_ff, 4 * n_embd, 1, max_width);
  const int every = static_cast<int>(h.integer_or({"", {"rescale_every"}}, 6));
  Layer l{.pre_mixer = norm(h),
          .mixers = {Rwkv{.inner = static_cast<int>(inner)}},
          .pre_ffn = norm(h),
          .ffn = ChannelMix{.width = static_cast<int>(width)}};
  if (i == 0) l.stream = norm(h);
  if (every > 0) {
    l.residual_scale = std::ldexp(1.0f, -(i / every));
    if ((i + 1) % every == 0) l.stream_scale = 0.5f;
  }
  return l;
}

}  // namespace

const Family rwkv_family{
    .name = "rwkv",
    .hugging_face = {"rwkv"},
    .special = "version 4: each row mixed with the one before it, a recurrence instead of attention",
    .norm = final_norm,
    .layer = layer,
    .naming = {.prefixes = {"rwkv.", ""},
               .layer = "blocks.{}.",
               .names = {{"token_embd", "embeddings"},
                         {"output_norm", "ln_out"},
                         {"output", "^head"},
                         {"stream_norm", "pre_ln"},
                         {"attn_norm", "ln1"},
                         {"ffn_norm", "ln2"},
                         {"time_mix_key", "attention.key"},
                         {"time_mix_value", "attention.value"},
                         {"time_mix_receptance", "attention.receptance"},
                         {"time_mix_output", "attention.output"},
                         {"time_mix_lerp_k.weight", "attention.time_mix_key"},
                         {"time_mix_lerp_v.weight", "attention.time_mix_value"},
                         {"time_mix_lerp_r.weight", "attention.time_mix_receptance"},
                         {"time_mix_first.weight", "attention.time_first"},
                         {"time_mix_decay.weight", "attention.time_decay"},
                         {"channel_mix_key", "feed_forward.key"},
                         {"channel_mix_value", "feed_forward.value"},
                         {"channel_mix_receptance", "feed_forward.receptance"},
                         {"channel_mix_lerp_k.weight", "feed_forward.time_mix_key"},
                         {"channel_mix_lerp_r.weight", "feed_forward.time_mix_receptance"}}},
    .rules = {{"time_mix_decay.weight", Adapt::negative_exp}},
};

}  // namespace llm::model
