#ifndef MODEL_PARTS_RECURRENT_H
#define MODEL_PARTS_RECURRENT_H

#include "model/parts.h"

// Neutral pieces of state-space models that families put together.

namespace llm::model {

namespace keys {
inline constexpr Key ssm_conv{"ssm.conv_kernel", {"conv_kernel", "mamba_d_conv"}};
inline constexpr Key ssm_inner{"ssm.inner_size"};
inline constexpr Key ssm_expand{"", {"expand", "mamba_expand"}};
inline constexpr Key ssm_state{"ssm.state_size", {"state_size", "mamba_d_state"}};
inline constexpr Key ssm_dt_rank{"ssm.time_step_rank", {"time_step_rank", "mamba_dt_rank"}};
inline constexpr Key ssm_groups{"ssm.group_count", {"n_groups", "mamba_n_groups"}};
inline constexpr Key ssm_heads{"ssm.time_step_rank", {"num_heads", "mamba_n_heads"}};
inline constexpr Key ssm_head_dim{"", {"mamba_d_head"}};
inline constexpr Key ssm_dt_limits{"", {"time_step_limit"}};
inline constexpr Key ssm_conv_bias{"", {"use_conv_bias", "mamba_conv_bias"}};
inline constexpr Key ssm_bias{"", {"use_bias", "mamba_proj_bias"}};
}  // namespace keys

// Layer i is a recurrence, not attention: in GGUF files it has no key/value heads.
bool recurrent_by_heads(const Hyper& h, int i);
// The same by layer_types of config.json, which has one of these names or their newer ones (linear_attention,
// full_attention) for each layer; nullopt if there is no list.
std::optional<bool> recurrent_by_type(const Hyper& h, int i, std::string_view recurrent, std::string_view attention);
// Width of a convolution in tokens; `otherwise` where config.json does not name it.
int conv_width(const Hyper& h, const Key& key, int otherwise = 4);

// Marks the keys of Mamba-2 as read: of hybrids, whose layers may all be attention.
void use_mamba2_keys(const Hyper& h);

// Widths and biases of a Mamba mixer as the file says.
Mamba mamba_mixer(const Hyper& h);
// Where config.json does not name them.
struct Mamba2Defaults {
  int state = 256, n_groups = 1, n_heads = 128;
};
// The same for Mamba-2. `inner_key` names the inner width where a family has a key of its own.
Mamba2 mamba2_mixer(const Hyper& h, const Norm& norm, const Key& inner_key = keys::ssm_inner,
                    const Mamba2Defaults& defaults = {});

}  // namespace llm::model

#endif
