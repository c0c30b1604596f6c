#include "model/parts_recurrent.h"

#include <fmt/format.h>

#include "formats/quote.h"

namespace llm::model {
namespace {

constexpr std::int64_t max_recurrent_width = 1 << 20;

int width(const Hyper& h, const Key& key) {
  return static_cast<int>(h.integer(key, 1, max_recurrent_width));
}
// The same with a default for config.json.
int width_or(const Hyper& h, const Key& key, int otherwise) {
  return h.gguf() || h.has(key) ? width(h, key) : otherwise;
}

// The inner width itself, or `expand` times the stream's.
int inner_width(const Hyper& h, const Key& key) {
  if (h.has(key)) return width(h, key);
  if (h.gguf()) return width(h, keys::ssm_inner);
  const double expand = h.number_or(keys::ssm_expand, 2, 0);
  return static_cast<int>(expand * static_cast<double>(h.integer(keys::n_embd, 1, max_recurrent_width)));
}

// Ranges that time steps are drawn from when training begins.
void use_training_keys(const Hyper& h) {
  h.use({"", {"time_step_min"}});
  h.use({"", {"time_step_max"}});
}

}  // namespace

bool recurrent_by_heads(const Hyper& h, int i) {
  return h.integer_at_or(keys::n_head_kv, i, 1) == 0;
}

std::optional<bool> recurrent_by_type(const Hyper& h, int i, std::string_view recurrent, std::string_view attention) {
  const std::optional<std::vector<std::string>> types = h.texts(keys::layer_types);
  if (!types) return std::nullopt;
  if (types->size() != static_cast<std::size_t>(h.n_layer())) {
    h.fail(keys::layer_types, fmt::format("array of {}", types->size()), fmt::format("{} layers", h.n_layer()));
  }
  const std::string& type = (*types)[static_cast<std::size_t>(i)];
  if (type == recurrent || type == "linear_attention") return true;
  if (type == attention || type == "full_attention") return false;
  h.fail(keys::layer_types, formats::quote(type), fmt::format("{} or {}", recurrent, attention));
}

int conv_width(const Hyper& h, const Key& key, int otherwise) {
  constexpr std::int64_t low = 2, high = 16;
  return static_cast<int>(h.gguf() || h.has(key) ? h.integer(key, low, high) : otherwise);
}

void use_mamba2_keys(const Hyper& h) {
  use_training_keys(h);
  for (const Key& key :
       {keys::ssm_conv, keys::ssm_inner, keys::ssm_expand, keys::ssm_state, keys::ssm_groups, keys::ssm_heads,
        keys::ssm_head_dim, keys::ssm_conv_bias, keys::ssm_bias, keys::ssm_dt_limits}) {
    h.use(key);
  }
}

Mamba mamba_mixer(const Hyper& h) {
  use_training_keys(h);
  Mamba m;
  m.activation = activation(h, Activation::silu);
  m.inner = inner_width(h, keys::ssm_inner);
  m.state = width_or(h, keys::ssm_state, 16);
  m.conv = conv_width(h, keys::ssm_conv);
  const std::int64_t n_embd = h.integer(keys::n_embd, 1, max_recurrent_width);
  const int automatic = static_cast<int>((n_embd + 15) / 16);
  m.dt_rank = h.is_text(keys::ssm_dt_rank) ? automatic : width_or(h, keys::ssm_dt_rank, automatic);
  h.use(keys::ssm_dt_rank);
  m.conv_bias = by_key(h, keys::ssm_conv_bias, true);
  m.bias = by_key(h, keys::ssm_bias, false);
  return m;
}

Mamba2 mamba2_mixer(const Hyper& h, const Norm& norm, const Key& inner_key, const Mamba2Defaults& defaults) {
  use_training_keys(h);
  Mamba2 m;
  m.activation = activation(h, Activation::silu);
  m.inner = inner_width(h, inner_key);
  m.state = width_or(h, keys::ssm_state, defaults.state);
  m.conv = conv_width(h, keys::ssm_conv);
  m.n_heads = width_or(h, keys::ssm_heads, defaults.n_heads);
  m.n_groups =
      static_cast<int>(h.integer_or(keys::ssm_groups, h.gguf() ? 1 : defaults.n_groups, 1, max_recurrent_width));
  if (m.inner % m.n_heads != 0) {
    h.fail(keys::ssm_heads, fmt::format("{} heads", m.n_heads),
           fmt::format("a divisor of the inner width {}", m.inner));
  }
  // "auto": what is left.
  const std::int64_t head_dim = m.inner / m.n_heads;
  if (!h.is_text(keys::ssm_head_dim) && h.integer_or(keys::ssm_head_dim, head_dim) != head_dim) {
    h.fail(keys::ssm_head_dim, fmt::format("{}", h.integer(keys::ssm_head_dim)), fmt::format("{}", head_dim));
  }
  if (m.n_heads % m.n_groups != 0 || m.inner % m.n_groups != 0) {
    h.fail(keys::ssm_groups, fmt::format("{} groups", m.n_groups), fmt::format("a divisor of {} heads", m.n_heads));
  }
  if (const std::optional<std::vector<double>> limits = h.numbers(keys::ssm_dt_limits)) {
    if (limits->size() != 2) {
      h.fail(keys::ssm_dt_limits, fmt::format("{} numbers", limits->size()), "the lowest and the highest time step");
    }
    m.dt_min = static_cast<float>(limits->front());
    m.dt_max = static_cast<float>(limits->back());
  }
  m.conv_bias = by_key(h, keys::ssm_conv_bias, true);
  m.bias = m.output_bias = by_key(h, keys::ssm_bias, false);
  m.norm_groups = m.n_groups;
  m.norm_eps = norm.eps;
  return m;
}

}  // namespace llm::model
