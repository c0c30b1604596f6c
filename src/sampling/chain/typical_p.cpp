#include <algorithm>
#include <cmath>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Keeps tokens whose surprise -ln p is nearest to the entropy until their probability exceeds tau (Meister et al.
// 2022).
class TypicalP final : public Stage {
 public:
  explicit TypicalP(double tau) : tau_(tau) {}
  void apply(Choice& choice) override {
    const Candidates::Shape shape = choice.candidates.shape();
    const std::span<Candidate> list = choice.candidates.sorted();
    const double max = static_cast<double>(list.front().logit);
    const double log_weight = std::log(shape.weight);
    const auto surprise = [&](const Candidate& c) { return log_weight - (static_cast<double>(c.logit) - max); };
    std::sort(list.begin(), list.end(), [&](const Candidate& a, const Candidate& b) {
      const double far_a = std::abs(surprise(a) - shape.entropy), far_b = std::abs(surprise(b) - shape.entropy);
      return far_a != far_b ? far_a < far_b : before(a, b);
    });
    double sum = 0;
    std::size_t n = 0;
    while (n < list.size() && sum <= tau_) sum += std::exp(-surprise(list[n++]));
    choice.candidates.keep_first(n);
  }

 private:
  double tau_;
};

}  // namespace

std::unique_ptr<Stage> make_typical_p(const SamplingOptions& options, const TokenTable&) {
  if (options.typical_p >= 1) return nullptr;
  return std::make_unique<TypicalP>(static_cast<double>(options.typical_p));
}

}  // namespace llm::sampling
