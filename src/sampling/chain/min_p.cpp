#include <cmath>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Keeps tokens at least m times as probable as the likeliest: logit >= max + ln m.
class MinP final : public Stage {
 public:
  explicit MinP(float m) : log_m_(std::log(m)) {}
  void apply(Choice& choice) override { choice.candidates.keep_above(choice.candidates.max_logit() + log_m_); }

 private:
  float log_m_;
};

}  // namespace

std::unique_ptr<Stage> make_min_p(const SamplingOptions& options, const TokenTable&) {
  return options.min_p > 0 ? std::make_unique<MinP>(options.min_p) : nullptr;
}

}  // namespace llm::sampling
