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
inline constexpr Key ssm_conv_bias{"", {"use_conv_bias", "mamba_conv_bias"}};
inline constexpr Key ssm_bias{"", {"use_bias", "mamba_proj_bias"}};
}  // namespace keys

// Widths and biases of a Mamba mixer as the file says.
Mamba mamba_mixer(const Hyper& h);
// The same for Mamba-2. `inner_key` names the inner width where a family has a key of its own.
Mamba2 mamba2_mixer(const Hyper& h, const Norm& norm, const Key& inner_key = keys::ssm_inner);

}  // namespace llm::model

#endif
