#include "model/parts_recurrent.h"

#include <fmt/format.h>

namespace llm::model {
namespace {

constexpr std::int64_t max_width = 1 << 20;

int width(const Hyper& h, const Key& key) {
  return static_cast<int>(h.integer(key, 1, max_width));
}

// The inner width itself, or `expand` times the stream's.
int inner_width(const Hyper& h, const Key& key) {
  if (h.has(key)) return width(h, key);
  if (h.gguf()) return width(h, keys::ssm_inner);
  const double expand = h.number_or(keys::ssm_expand, 2, 0);
  return static_cast<int>(expand * static_cast<double>(h.integer(keys::n_embd, 1, max_width)));
}

}  // namespace

namespace {

// Ranges that time steps are drawn from when training begins.
void use_training_keys(const Hyper& h) {
  h.use({"", {"time_step_min"}});
  h.use({"", {"time_step_max"}});
}

}  // namespace

Mamba mamba_mixer(const Hyper& h) {
  use_training_keys(h);
  Mamba m;
  m.activation = activation(h, Activation::silu);
  m.inner = inner_width(h, keys::ssm_inner);
  m.state = width(h, keys::ssm_state);
  m.conv = static_cast<int>(h.integer(keys::ssm_conv, 2, 64));
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, max_width);
  m.dt_rank = h.is_text(keys::ssm_dt_rank) ? static_cast<int>((n_embd + 15) / 16) : width(h, keys::ssm_dt_rank);
  h.use(keys::ssm_dt_rank);
  m.conv_bias = by_key(h, keys::ssm_conv_bias, true);
  m.bias = by_key(h, keys::ssm_bias, false);
  return m;
}

Mamba2 mamba2_mixer(const Hyper& h, const Norm& norm, const Key& inner_key) {
  use_training_keys(h);
  Mamba2 m;
  m.activation = activation(h, Activation::silu);
  m.inner = inner_width(h, inner_key);
  m.state = width(h, keys::ssm_state);
  m.conv = static_cast<int>(h.integer(keys::ssm_conv, 2, 64));
  m.n_heads = width(h, keys::ssm_heads);
  m.n_groups = static_cast<int>(h.integer_or(keys::ssm_groups, 1, 1, max_width));
  if (m.inner % m.n_heads != 0) {
    h.fail(keys::ssm_heads, fmt::format("{} heads", m.n_heads),
           fmt::format("a divisor of the inner width {}", m.inner));
  }
  if (m.n_heads % m.n_groups != 0 || m.inner % m.n_groups != 0) {
    h.fail(keys::ssm_groups, fmt::format("{} groups", m.n_groups), fmt::format("a divisor of {} heads", m.n_heads));
  }
  m.conv_bias = by_key(h, keys::ssm_conv_bias, true);
  m.bias = by_key(h, keys::ssm_bias, false);
  m.norm_groups = m.n_groups;
  m.norm_eps = norm.eps;
  return m;
}

}  // namespace llm::model
