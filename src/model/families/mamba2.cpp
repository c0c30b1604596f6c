#include <string>

#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int) {
  h.use({"", {"time_step_rank"}});
  const Mamba2 m = mamba2_mixer(h, norm(h), keys::ssm_inner, {.state = 128, .n_groups = 8});
  const int head_dim = m.inner / m.n_heads;
  if (!h.gguf() && h.integer_or(keys::head_dim, head_dim) != head_dim) {
    h.fail(keys::head_dim, std::to_string(h.integer(keys::head_dim)), std::to_string(head_dim));
  }
  return {.pre_mixer = norm(h), .mixers = {m}};
}

}  // namespace

const Family mamba2_family{
    .name = "mamba2",
    .gguf = {"mamba2"},
    .hugging_face = {"mamba2"},
    .special = "state space with one decay a head; gated norm over the groups",
    .norm = norm,
    .layer = layer,
    .naming = {.prefixes = {"backbone.", ""},
               .names = {{"token_embd", "embeddings"},
                         {"output_norm", "norm_f"},
                         {"attn_norm", "norm"},
                         {"ssm_in", "mixer.in_proj"},
                         {"ssm_conv1d", "mixer.conv1d"},
                         {"ssm_dt.bias", "mixer.dt_bias"},
                         {"ssm_a.weight", "mixer.A_log"},
                         {"ssm_d.weight", "mixer.D"},
                         {"ssm_norm", "mixer.norm"},
                         {"ssm_out", "mixer.out_proj"}}},
    .gguf_names = {{"ssm_a.weight", "ssm_a"}, {"ssm_d.weight", "ssm_d"}},
    .rules = {{"ssm_a.weight", Adapt::negative_exp}},
};

}  // namespace llm::model
