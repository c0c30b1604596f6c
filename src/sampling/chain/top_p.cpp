#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Keeps the shortest run of likeliest tokens whose probability reaches p (Holtzman et al. 2019).
class TopP final : public Stage {
 public:
  explicit TopP(double p) : p_(p) {}
  void apply(Choice& choice) override { choice.candidates.keep_mass(p_); }

 private:
  double p_;
};

}  // namespace

std::unique_ptr<Stage> make_top_p(const SamplingOptions& options, const TokenTable&) {
  return options.top_p < 1 ? std::make_unique<TopP>(static_cast<double>(options.top_p)) : nullptr;
}

}  // namespace llm::sampling
