#include "sampling/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include <llm/error.hpp>

namespace llm::sampling {

Sampler::Sampler(const SamplingOptions& options, const TokenTable& tokens)
    : seed_(options.seed), greedy_(options.temperature == 0), candidates_(tokens.n_vocab()) {
  options.validate();
  std::map<TokenId, float> bias;
  for (const auto& [id, value] : options.logit_bias) {
    if (id < 0 || id >= tokens.n_vocab()) {
      throw Error(ErrorCode::usage,
                  fmt::format("logit_bias: token {} is not in the vocabulary of {} tokens", id, tokens.n_vocab()));
    }
    bias[id] += value;
  }
  for (const auto& [id, value] : bias) {
    biased_.push_back(id);
    bias_.push_back(value);
  }
  const bool adaptive = options.mirostat == 0 && options.adaptive_target >= 0;
  for (const std::string& name : options.samplers) {
    const StageKind* kind = find_stage_kind(name);
    if (kind->truncates && (greedy_ || options.mirostat != 0)) continue;
    if (greedy_ && kind->make == make_temperature) continue;
    if (std::unique_ptr<Stage> stage = kind->make(options, tokens)) stages_.push_back(std::move(stage));
  }
  if (!greedy_ && options.mirostat == 1) picker_ = make_mirostat(options);
  if (!greedy_ && options.mirostat == 2) picker_ = make_mirostat_2(options);
  if (!greedy_ && adaptive) picker_ = make_adaptive(options);

  state_.mirostat_mu = 2 * static_cast<double>(options.mirostat_tau);
  // As if the target had been met for ever.
  const double past = 1 / (1 - static_cast<double>(options.adaptive_decay));
  state_.adaptive_sum = static_cast<double>(options.adaptive_target) * past;
  state_.adaptive_total_weight = past;
}

TokenId Sampler::sample(std::span<float> logits, std::span<const TokenId> history, std::uint64_t sequence_key,
                        std::int64_t position, const TokenMask* allowed) {
  candidates_.reset(logits, allowed, position);
  if (!biased_.empty()) {
    candidates_.edit(biased_, [&](TokenId id, float logit) {
      return logit +
             bias_[static_cast<std::size_t>(std::lower_bound(biased_.begin(), biased_.end(), id) - biased_.begin())];
    });
    if (candidates_.max_logit() == -std::numeric_limits<float>::infinity()) {
      throw Error(ErrorCode::usage, fmt::format("step {}: logit_bias leaves no token to choose", position));
    }
  }
  Choice choice{candidates_, history, {seed_, sequence_key, static_cast<std::uint64_t>(position), 0}, state_};
  for (const std::unique_ptr<Stage>& stage : stages_) stage->apply(choice);
  if (greedy_) return candidates_.best().id;
  if (picker_) return picker_->pick(choice);
  return candidates_.draw(random_uniform(choice.random)).id;
}

}  // namespace llm::sampling
