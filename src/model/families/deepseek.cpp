#include <cmath>

#include "formats/quote.h"
#include "model/families/families.h"
#include "model/rope.h"

namespace llm::model {
namespace {

constexpr Key q_rank{"attention.q_lora_rank", {"q_lora_rank"}};
constexpr Key kv_rank{"attention.kv_lora_rank", {"kv_lora_rank"}};
constexpr Key nope_dim{"", {"qk_nope_head_dim"}};
constexpr Key rope_dim{"rope.dimension_count", {"qk_rope_head_dim"}};
constexpr Key value_dim{"attention.value_length_mla", {"v_head_dim"}};
constexpr Key key_length{"attention.key_length_mla"};
constexpr Key log_multiplier{"rope.scaling.yarn_log_multiplier"};
constexpr std::int64_t max_width = 1 << 20;

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-6);
}

LatentAttention latent(const Hyper& h, int i) {
  LatentAttention a;
  a.n_head = static_cast<int>(h.integer_at(keys::n_head, i, 1, 1 << 16));
  a.q_rank = static_cast<int>(h.integer_or(q_rank, 0, 0, max_width));
  h.use(keys::n_head_kv);
  h.use(keys::head_dim);
  h.use(keys::value_dim);
  a.kv_rank = static_cast<int>(h.integer(kv_rank, 1, max_width));
  a.rope_dim = static_cast<int>(h.integer(rope_dim, 2, max_width)) / 2 * 2;
  if (h.gguf()) {
    // Files without the _mla keys hold the sizes of the expanded heads.
    const Key& key = h.has(key_length) ? key_length : keys::head_dim;
    a.nope_dim = static_cast<int>(h.integer(key, a.rope_dim + 1, max_width)) - a.rope_dim;
    a.value_dim = static_cast<int>(h.integer(h.has(value_dim) ? value_dim : keys::value_dim, 1, max_width));
    a.norm_eps = norm(h).eps;
  } else {
    a.nope_dim = static_cast<int>(h.integer(nope_dim, 1, max_width));
    a.value_dim = static_cast<int>(h.integer(value_dim, 1, max_width));
  }
  a.rope = rope(h, a.rope_dim);
  const bool adjacent = h.flag_or({"", {"rope_interleave"}}, true);
  a.rope.pairing = adjacent ? RopePairing::adjacent : RopePairing::halves;
  a.bias = by_key(h, keys::attention_bias, false);
  const RopeScaling& yarn = a.rope.scaling;
  double m = 1;
  if (yarn.kind == RopeScaling::Kind::yarn) {
    // GGUF holds a tenth of mscale_all_dim; the factors of cosines and sines cancel.
    const double all = h.gguf() ? h.number_or(log_multiplier, 0) / 0.1 : yarn.mscale_all_dim;
    if (all != 0) m = yarn_mscale(yarn.factor, all);
    if (h.gguf() && all != 0) a.rope.scaling.attention_factor = 1;
  }
  a.scale = static_cast<float>(m * m / std::sqrt(static_cast<double>(a.nope_dim + a.rope_dim)));
  return a;
}

Layer with_experts(const Hyper& h, int i, Experts e, int default_shared, int default_dense) {
  const std::int64_t n_shared = h.integer_or(keys::n_shared, h.gguf() ? 0 : default_shared, 0, 1 << 10);
  if (n_shared > 0) {
    e.shared = Mlp{.width = static_cast<int>(n_shared) * e.width,
                   .activation = e.activation,
                   .bias = by_key(h, keys::mlp_bias, false)};
  }
  Layer l{.pre_mixer = norm(h), .mixers = {latent(h, i)}, .pre_ffn = norm(h), .ffn = e};
  if (i < h.integer_or(keys::n_dense, h.gguf() ? 0 : default_dense)) l.ffn = mlp(h, i, e.activation);
  return l;
}

// Softmax over all experts, best groups by their best expert; never normalised.
Layer v2(const Hyper& h, int i) {
  Experts e = experts(h, i, activation(h, Activation::silu));
  const Key method{"", {"topk_method"}};
  const std::string choice = h.text_or(method, "greedy");
  if (choice != "greedy" && choice != "group_limited_greedy") {
    h.fail(method, formats::quote(choice), "greedy or group_limited_greedy");
  }
  const int n_groups = static_cast<int>(h.integer_or(keys::n_groups, 1, 1, 64));
  const int n_used = static_cast<int>(h.integer_or(keys::n_groups_used, 1, 1, n_groups));
  if (choice == "group_limited_greedy") {
    if (e.count % n_groups != 0) h.fail(keys::n_groups, std::to_string(n_groups), "a divisor of the experts");
    e.router.n_groups = n_groups;
    e.router.n_groups_used = n_used;
  }
  h.use(keys::routed_norm);
  e.router.scale = static_cast<float>(h.number_or(keys::routed_scale, 1));
  return with_experts(h, i, e, 2, 0);
}

Layer v3(const Hyper& h, int i) {
  Experts e = experts(h, i, activation(h, Activation::silu), {.count = 256, .used = 8});
  set_sigmoid_router(h, e, {.scale = 2.5, .n_groups = 8, .n_groups_used = 4});
  return with_experts(h, i, e, 1, 3);
}

// GGUF has one name for both: the router's function tells them apart.
Layer gguf(const Hyper& h, int i) {
  const bool big_vocabulary = (h.n_layer() == 47 || h.n_layer() == 48) && n_vocab(h) == 154880;
  if (h.integer_or(keys::gating, big_vocabulary ? 2 : 1, 0, 4) == 2) {
    Layer l = v3(h, i);
    const std::string bias = "blk." + std::to_string(i) + ".exp_probs_b.bias";
    if (Experts* e = std::get_if<Experts>(&l.ffn)) e->correction_bias = h.file().find_tensor(bias) != nullptr;
    return l;
  }
  Experts e = experts(h, i, Activation::silu);
  e.router.normalize = h.flag_or(keys::routed_norm, false);
  e.router.n_groups = static_cast<int>(h.integer_or(keys::n_groups, 1, 1, 64));
  e.router.n_groups_used = static_cast<int>(h.integer_or(keys::n_groups_used, 1, 1, e.router.n_groups));
  e.router.group_by_best_two = true;
  if (e.count % e.router.n_groups != 0) h.fail(keys::n_groups, std::to_string(e.router.n_groups), "a divisor");
  const double scale = h.number_or(keys::routed_scale, 1);
  e.router.scale = scale != 0 ? static_cast<float>(scale) : 1;
  return with_experts(h, i, e, 0, 0);
}

const std::vector<TensorName> names = {{"attn_q_a", "self_attn.q_a_proj"},
                                       {"attn_q_a_norm", "self_attn.q_a_layernorm"},
                                       {"attn_q_b", "self_attn.q_b_proj"},
                                       {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
                                       {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
                                       {"attn_kv_b", "self_attn.kv_b_proj"}};

}  // namespace

const Family deepseek_v2_family{.name = "deepseek_v2",
                                .hugging_face = {"deepseek_v2"},
                                .special = "latent attention; experts from the best groups, shared experts",
                                .norm = norm,
                                .layer = v2,
                                .naming = {.names = names},
                                .writing = {.architecture = "deepseek2"}};

const Family deepseek_v3_family{.name = "deepseek_v3",
                                .hugging_face = {"deepseek_v3"},
                                .special = "latent attention; sigmoid router with a bias for choosing",
                                .norm = norm,
                                .layer = v3,
                                .naming = {.names = names},
                                .writing = {.architecture = "deepseek2"}};

const Family deepseek2_family{.name = "deepseek2",
                              .gguf = {"deepseek2"},
                              .special = "deepseek_v2 and deepseek_v3 as GGUF files",
                              .norm = norm,
                              .layer = gguf};

}  // namespace llm::model
