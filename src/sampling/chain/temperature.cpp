#include <algorithm>
#include <cmath>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Divides the logits by the temperature; with a range, by one that grows with the normalised entropy of the candidates.
class Temperature final : public Stage {
 public:
  explicit Temperature(const SamplingOptions& options)
      : temperature_(static_cast<double>(options.temperature)),
        range_(static_cast<double>(options.dynatemp_range)),
        exponent_(static_cast<double>(options.dynatemp_exponent)) {}

  void apply(Choice& choice) override {
    double t = temperature_;
    if (range_ > 0) {
      const Candidates::Shape shape = choice.candidates.shape();
      if (shape.n < 2) return;
      const double low = std::max(0.0, temperature_ - range_);
      const double high = temperature_ + range_;
      const double entropy = std::clamp(shape.entropy / std::log(static_cast<double>(shape.n)), 0.0, 1.0);
      t = low + (high - low) * std::pow(entropy, exponent_);
    }
    if (t < smallest) {
      choice.candidates.keep_best(1);
    } else {
      choice.candidates.divide(static_cast<float>(t));
    }
  }

 private:
  // Below it the likeliest token has all the probability, and quotients would overflow.
  static constexpr double smallest = 1e-5;
  double temperature_, range_, exponent_;
};

}  // namespace

std::unique_ptr<Stage> make_temperature(const SamplingOptions& options, const TokenTable&) {
  if (options.temperature == 1 && options.dynatemp_range <= 0) return nullptr;
  return std::make_unique<Temperature>(options);
}

}  // namespace llm::sampling
