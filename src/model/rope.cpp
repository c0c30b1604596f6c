#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace llm::model {
namespace {

// Dimension whose wave makes `rotations` turns within the original context.
double yarn_dimension(const Rope& rope, double rotations) {
  return rope.dims * std::log(rope.scaling.original_context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.base));
}

void apply_yarn(const Rope& rope, RopeAngles& out) {
  const RopeScaling& s = rope.scaling;
  double low = yarn_dimension(rope, s.beta_fast), high = yarn_dimension(rope, s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.dims - 1));
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < out.inverse_frequency.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    double& f = out.inverse_frequency[i];
    f = f / s.factor * ramp + f * (1 - ramp);
  }
  if (s.attention_factor) {
    out.attention_factor = *s.attention_factor;
  } else if (s.mscale != 0 && s.mscale_all_dim != 0) {
    out.attention_factor = yarn_mscale(s.factor, s.mscale) / yarn_mscale(s.factor, s.mscale_all_dim);
  } else {
    out.attention_factor = yarn_mscale(s.factor, 1);
  }
}

// Wave lengths: short ones stay, long ones are stretched, those between blend.
void apply_llama3(const Rope& rope, RopeAngles& out) {
  const RopeScaling& s = rope.scaling;
  for (double& f : out.inverse_frequency) {
    const double wave = 2 * std::numbers::pi / f;
    const double blend = std::clamp(
        (s.original_context / wave - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor), 0.0, 1.0);
    f = (1 - blend) * f / s.factor + blend * f;
  }
}

void apply_longrope(const Rope& rope, std::int64_t length, RopeAngles& out) {
  const RopeScaling& s = rope.scaling;
  const std::vector<double>& divisors =
      static_cast<double>(length) > s.original_context ? s.long_factor : s.short_factor;
  for (std::size_t i = 0; i < out.inverse_frequency.size(); ++i) out.inverse_frequency[i] /= divisors[i];
  if (s.attention_factor) {
    out.attention_factor = *s.attention_factor;
  } else if (s.factor > 1) {
    out.attention_factor = std::sqrt(1 + std::log(s.factor) / std::log(s.original_context));
  }
}

}  // namespace

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

void rope_angles(const Rope& rope, std::int64_t length, const std::vector<float>& divisors, RopeAngles& out) {
  const RopeScaling& s = rope.scaling;
  const double period = rope.period != 0 ? rope.period : rope.dims;
  double base = rope.base;
  if (s.kind == RopeScaling::Kind::dynamic && static_cast<double>(length) > s.original_context) {
    const double stretch = s.factor * static_cast<double>(length) / s.original_context - (s.factor - 1);
    base *= std::pow(stretch, period / (period - 2));
  }
  out.attention_factor = 1;
  out.inverse_frequency.resize(static_cast<std::size_t>(rope.dims / 2));
  for (std::size_t i = 0; i < out.inverse_frequency.size(); ++i) {
    // Models were trained with frequencies in single precision.
    out.inverse_frequency[i] = static_cast<float>(std::pow(base, -2.0 * static_cast<double>(i) / period));
    if (!divisors.empty()) out.inverse_frequency[i] /= divisors[i];
  }
  switch (s.kind) {
    case RopeScaling::Kind::none:
    case RopeScaling::Kind::dynamic:
      break;
    case RopeScaling::Kind::linear:
      for (double& f : out.inverse_frequency) f /= s.factor;
      break;
    case RopeScaling::Kind::llama3:
      apply_llama3(rope, out);
      break;
    case RopeScaling::Kind::yarn:
      apply_yarn(rope, out);
      break;
    case RopeScaling::Kind::longrope:
      apply_longrope(rope, length, out);
      break;
  }
}

}  // namespace llm::model
