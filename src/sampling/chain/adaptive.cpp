#include <algorithm>
#include <cmath>
#include <vector>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Adaptive-p: prefers tokens whose probability is near an aim, which moves so that the running mean of the chosen
// tokens' probabilities stays at the target.
class Adaptive final : public Picker {
 public:
  Adaptive(double target, double decay) : target_(target), decay_(decay) {}

  TokenId pick(Choice& choice) override {
    SamplerState& state = choice.state;
    const double mean = state.adaptive_total_weight > 0 ? state.adaptive_sum / state.adaptive_total_weight : target_;
    const double aim = std::clamp(2 * target_ - mean, 0.0, 1.0);
    const double weight = choice.candidates.shape().weight;
    const std::span<const Candidate> list = choice.candidates.sorted();
    const double max = static_cast<double>(list.front().logit);
    original_.clear();
    moved_.clear();
    for (const Candidate& c : list) {
      const double p = std::exp(static_cast<double>(c.logit) - max) / weight;
      const double d = std::abs(p - aim) / 0.3;
      original_.push_back(p);
      moved_.push_back({static_cast<float>(5 - 10 * d * d / (1 + d)), static_cast<TokenId>(moved_.size())});
    }
    std::sort(moved_.begin(), moved_.end(), before);
    double total = 0;
    for (const Candidate& m : moved_) total += std::exp(static_cast<double>(m.logit));
    const double goal = random_uniform(choice.random) * total;
    double sum = 0;
    std::size_t chosen = static_cast<std::size_t>(moved_.back().id);
    for (const Candidate& m : moved_) {
      sum += std::exp(static_cast<double>(m.logit));
      if (sum >= goal) {
        chosen = static_cast<std::size_t>(m.id);
        break;
      }
    }
    state.adaptive_sum = original_[chosen] + decay_ * state.adaptive_sum;
    state.adaptive_total_weight = 1 + decay_ * state.adaptive_total_weight;
    return list[chosen].id;
  }

 private:
  double target_, decay_;
  std::vector<double> original_;  // probability of each candidate
  std::vector<Candidate> moved_;  // logit after the move; id: index of the candidate
};

}  // namespace

std::unique_ptr<Picker> make_adaptive(const SamplingOptions& options) {
  return std::make_unique<Adaptive>(static_cast<double>(options.adaptive_target),
                                    static_cast<double>(options.adaptive_decay));
}

}  // namespace llm::sampling
