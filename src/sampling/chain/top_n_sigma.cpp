#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Keeps tokens within n population deviations of the likeliest logit (Tang et al. 2024).
class TopNSigma final : public Stage {
 public:
  explicit TopNSigma(double n) : n_(n) {}
  void apply(Choice& choice) override {
    Candidates& c = choice.candidates;
    c.keep_above(static_cast<float>(static_cast<double>(c.max_logit()) - n_ * c.deviation()));
  }

 private:
  double n_;
};

}  // namespace

std::unique_ptr<Stage> make_top_n_sigma(const SamplingOptions& options, const TokenTable&) {
  if (options.top_n_sigma <= 0) return nullptr;
  return std::make_unique<TopNSigma>(static_cast<double>(options.top_n_sigma));
}

}  // namespace llm::sampling
