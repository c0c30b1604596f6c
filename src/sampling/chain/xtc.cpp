#include <cmath>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// "Exclude top choices": with the given probability, of the tokens with p >= threshold only the least probable stays.
class Xtc final : public Stage {
 public:
  Xtc(double probability, double threshold) : probability_(probability), threshold_(threshold) {}
  void apply(Choice& choice) override {
    constexpr std::uint32_t draw_number = 1;
    RandomKey key = choice.random;
    key.draw = draw_number;
    if (random_uniform(key) > probability_) return;
    const double weight = choice.candidates.shape().weight;
    // At most 1 / threshold tokens can qualify.
    const std::size_t n_peek = static_cast<std::size_t>(1 / threshold_) + 2;
    const std::span<const Candidate> top = choice.candidates.peek(n_peek);
    const float max = top.front().logit;
    std::size_t n = 0;
    while (n < top.size() && std::exp(static_cast<double>(top[n].logit - max)) / weight >= threshold_) ++n;
    if (n < 2) return;
    choice.candidates.drop_best(n - 1);
  }

 private:
  double probability_, threshold_;
};

}  // namespace

std::unique_ptr<Stage> make_xtc(const SamplingOptions& options, const TokenTable&) {
  if (options.xtc_probability <= 0 || options.xtc_threshold > 0.5f) return nullptr;
  return std::make_unique<Xtc>(static_cast<double>(options.xtc_probability),
                               static_cast<double>(options.xtc_threshold));
}

}  // namespace llm::sampling
