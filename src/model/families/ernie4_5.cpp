#include <algorithm>

#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer dense(const Hyper& h, int i) {
  const Presence bias = by_key(h, {"", {"use_bias"}}, false);
  Attention a = attention(h, i,
                          {.rope_base = h.gguf() ? 10'000.0 : 500'000.0,
                           .head_dim = h.architecture() == "ernie4_5" ? 128 : 0,
                           .n_head_kv = h.architecture() == "ernie4_5" ? 2 : 4,
                           .gguf_pairing = RopePairing::adjacent,
                           .pairing = RopePairing::adjacent});
  a.qkv_bias = a.output_bias = bias;
  Mlp m = mlp(h, i, activation(h, Activation::silu));
  m.bias = bias;
  return {.pre_mixer = norm(h), .mixers = {a}, .pre_ffn = norm(h), .ffn = m};
}

void finish_moe(const Hyper& h, ModelSpec& m) {
  m.head.bias = by_key(h, {"", {"use_bias"}}, false);
}

bool has_experts(const Hyper& h, int i) {
  const Key start{"leading_dense_block_count", {"moe_layer_start_index"}}, end{"", {"moe_layer_end_index"}},
      step{"interleave_moe_layer_step", {"moe_layer_interval"}};
  const std::int64_t first = h.integer_or(start, 1), last = h.integer_or(end, -1, -1),
                     interval = std::max<std::int64_t>(h.integer_or(step, 1), 1);
  return i >= first && (last < 0 || i <= last) && (h.gguf() ? i % interval == 0 : (i + 1) % interval == 0);
}

Layer moe(const Hyper& h, int i) {
  Layer l = dense(h, i);
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 64, .used = 6});
  e.correction_bias = true;
  e.router.normalize = true;
  e.router.sum_min = static_cast<float>(h.number_or({"", {"moe_norm_min"}}, 1e-12, 0));
  const std::int64_t n_shared = h.integer_or(keys::n_shared, h.gguf() ? 0 : 2, 0, 1 << 10);
  const std::int64_t width = h.integer_or(keys::n_ff_shared, n_shared * e.width);
  if (width > 0 && (h.gguf() || n_shared > 0))
    e.shared = Mlp{.width = static_cast<int>(width), .bias = by_key(h, {"", {"use_bias"}}, false)};
  if (has_experts(h, i)) l.ffn = e;
  return l;
}

}  // namespace

const Family ernie4_5_family{.name = "ernie4_5",
                             .gguf = {"ernie4_5"},
                             .hugging_face = {"ernie4_5"},
                             .special = "neighbouring rotary pairs",
                             .defaults = {.tied = true},
                             .norm = norm,
                             .layer = dense};

const Family ernie4_5_moe_family{
    .name = "ernie4_5_moe",
    .gguf = {"ernie4_5-moe"},
    .hugging_face = {"ernie4_5_moe"},
    .special = "experts chosen by a shifted softmax, shared expert, dense first layers",
    .defaults = {.tied = true},
    .norm = norm,
    .layer = moe,
    .finish = finish_moe,
    .naming = {.names = {{"exp_probs_b.bias", "mlp.moe_statics.e_score_correction_bias"}}}};

}  // namespace llm::model
