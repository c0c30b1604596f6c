#include "model/families/families.h"
#include "model/parts_recurrent.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return rms_norm(h, 1e-5);
}

Layer layer(const Hyper& h, int) {
  h.use(keys::n_ff);  // the inner width again
  Mamba m = mamba_mixer(h);
  const bool falcon = h.gguf() ? h.flag_or({"ssm.dt_b_c_rms"}, false) : h.architecture() == "falcon_mamba";
  if (falcon) {
    m.norm = norm(h);
    if (!h.gguf()) m.norm->eps = static_cast<float>(h.number_or({"", {"mixer_rms_eps"}}, 1e-6, 0));
  }
  return {.pre_mixer = norm(h), .mixers = {m}};
}

// Norms of dt, B and C are told apart by a key alone.
void gguf_keys(const ModelSpec& m, GgufKeys& keys) {
  keys["ssm.dt_b_c_rms"] = std::get<Mamba>(m.decoder.layers.front().mixers.front()).norm.has_value();
}

}  // namespace

const Family mamba_family{
    .name = "mamba",
    .gguf = {"mamba"},
    .hugging_face = {"mamba", "falcon_mamba"},
    .special = "selective state space in every layer, no feed-forward, no positions",
    .defaults = {.tied = true},
    .norm = norm,
    .layer = layer,
    .naming = {.prefixes = {"backbone.", ""},
               .names = {{"token_embd", "embeddings"},
                         {"output_norm", "norm_f"},
                         {"attn_norm", "norm"},
                         {"ssm_in", "mixer.in_proj"},
                         {"ssm_conv1d", "mixer.conv1d"},
                         {"ssm_x", "mixer.x_proj"},
                         {"ssm_dt", "mixer.dt_proj"},
                         {"ssm_a.weight", "mixer.A_log"},
                         {"ssm_d.weight", "mixer.D"},
                         {"ssm_out", "mixer.out_proj"}}},
    .gguf_names = {{"ssm_a.weight", "ssm_a"}, {"ssm_d.weight", "ssm_d"}},
    .rules = {{"ssm_a.weight", Adapt::negative_exp}},
    .writing = {.keys = gguf_keys},
};

}  // namespace llm::model
