#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <llm/error.hpp>
#include <llm/sampling.hpp>

#include "sampling/stage.h"

namespace llm {
inline namespace v1 {
namespace {

template <typename T>
[[noreturn]] void refuse(const char* option, const T& value, const char* expected) {
  throw Error(ErrorCode::usage, fmt::format("{}: found {}, expected {}", option, value, expected));
}

void require_share(const char* option, float value) {
  if (!(value >= 0 && value <= 1)) refuse(option, value, "a number from 0 to 1");
}

void require_not_negative(const char* option, float value) {
  if (!(value >= 0 && std::isfinite(value))) refuse(option, value, "a finite number of at least 0");
}

void require_finite(const char* option, float value) {
  if (!std::isfinite(value)) refuse(option, value, "a finite number");
}

void require_at_least(const char* option, int value, int least, const char* expected) {
  if (value < least) refuse(option, value, expected);
}

}  // namespace

bool SamplingOptions::set(std::string_view name, double value) {
  const std::pair<std::string_view, float*> numbers[] = {{"temperature", &temperature},
                                                         {"top_p", &top_p},
                                                         {"min_p", &min_p},
                                                         {"typical_p", &typical_p},
                                                         {"top_n_sigma", &top_n_sigma},
                                                         {"repeat_penalty", &repeat_penalty},
                                                         {"presence_penalty", &presence_penalty},
                                                         {"frequency_penalty", &frequency_penalty},
                                                         {"xtc_probability", &xtc_probability},
                                                         {"xtc_threshold", &xtc_threshold},
                                                         {"mirostat_tau", &mirostat_tau},
                                                         {"mirostat_eta", &mirostat_eta}};
  const std::pair<std::string_view, int*> counts[] = {
      {"top_k", &top_k}, {"repeat_last_n", &repeat_last_n}, {"mirostat", &mirostat}};
  for (const auto& [known, member] : numbers) {
    if (known == name) *member = static_cast<float>(value);
    if (known == name) return true;
  }
  for (const auto& [known, member] : counts) {
    if (known == name) *member = static_cast<int>(value);
    if (known == name) return true;
  }
  return false;
}

void SamplingOptions::validate() const {
  require_not_negative("temperature", temperature);
  require_at_least("top_k", top_k, 0, "0 (off) or a count of tokens");
  require_share("top_p", top_p);
  require_share("min_p", min_p);
  require_share("typical_p", typical_p);
  require_not_negative("top_n_sigma", top_n_sigma);
  if (!(repeat_penalty > 0 && std::isfinite(repeat_penalty))) {
    refuse("repeat_penalty", repeat_penalty, "a finite number above 0");
  }
  require_finite("presence_penalty", presence_penalty);
  require_finite("frequency_penalty", frequency_penalty);
  require_at_least("repeat_last_n", repeat_last_n, -1, "-1 (all), 0 (none) or a count of tokens");
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0) refuse("logit_bias", id, "a token id");
    if (std::isnan(bias) || bias == std::numeric_limits<float>::infinity()) {
      refuse("logit_bias", bias, "a finite number or -inf");
    }
  }
  require_share("xtc_probability", xtc_probability);
  if (!(xtc_threshold > 0 && xtc_threshold <= 1)) {
    refuse("xtc_threshold", xtc_threshold, "a number above 0, at most 1");
  }
  require_not_negative("dry_multiplier", dry_multiplier);
  if (!(dry_base >= 1 && std::isfinite(dry_base))) refuse("dry_base", dry_base, "a finite number of at least 1");
  require_at_least("dry_allowed_length", dry_allowed_length, 1, "a length of at least 1");
  require_at_least("dry_last_n", dry_last_n, -1, "-1 (all), 0 (none) or a count of tokens");
  constexpr std::size_t longest_breaker = 40;  // bytes
  for (const std::string& breaker : dry_breakers) {
    if (breaker.empty() || breaker.size() > longest_breaker) {
      refuse("dry_breakers", breaker.size(), "1 to 40 bytes in every breaker");
    }
  }
  require_not_negative("dynatemp_range", dynatemp_range);
  require_not_negative("dynatemp_exponent", dynatemp_exponent);
  if (mirostat < 0 || mirostat > 2) refuse("mirostat", mirostat, "0, 1 or 2");
  require_not_negative("mirostat_tau", mirostat_tau);
  require_not_negative("mirostat_eta", mirostat_eta);
  if (!(adaptive_target <= 1)) refuse("adaptive_target", adaptive_target, "a probability, or less than 0 (off)");
  if (!(adaptive_decay >= 0 && adaptive_decay <= 0.99f)) {
    refuse("adaptive_decay", adaptive_decay, "a number from 0 to 0.99");
  }
  for (std::size_t i = 0; i < samplers.size(); ++i) {
    if (sampling::find_stage_kind(samplers[i]) == nullptr) {
      std::string known;
      for (const sampling::StageKind& kind : sampling::stage_kinds()) {
        known += (known.empty() ? "" : ", ") + std::string(kind.name);
      }
      refuse("samplers", samplers[i], ("one of " + known).c_str());
    }
    if (std::find(samplers.begin(), samplers.begin() + static_cast<std::ptrdiff_t>(i), samplers[i]) !=
        samplers.begin() + static_cast<std::ptrdiff_t>(i)) {
      refuse("samplers", samplers[i], "every name at most once");
    }
  }
}

}  // namespace v1
}  // namespace llm
