#include <algorithm>
#include <vector>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// For each distinct token among the last n: a positive logit is divided by rho, another multiplied; then
// count * frequency + presence is subtracted.
class Penalties final : public Stage {
 public:
  Penalties(const SamplingOptions& options, std::int32_t n_vocab)
      : rho_(options.repeat_penalty),
        presence_(options.presence_penalty),
        frequency_(options.frequency_penalty),
        last_n_(options.repeat_last_n),
        counts_(static_cast<std::size_t>(n_vocab)) {}

  void apply(Choice& choice) override {
    std::span<const TokenId> window = choice.history;
    if (last_n_ >= 0) window = window.last(std::min(window.size(), static_cast<std::size_t>(last_n_)));
    seen_.clear();
    for (TokenId id : window) {
      if (id < 0 || static_cast<std::size_t>(id) >= counts_.size()) continue;
      if (counts_[static_cast<std::size_t>(id)]++ == 0) seen_.push_back(id);
    }
    std::sort(seen_.begin(), seen_.end());
    choice.candidates.edit(seen_, [&](TokenId id, float logit) {
      const auto count = static_cast<float>(counts_[static_cast<std::size_t>(id)]);
      const float repeated = logit > 0 ? logit / rho_ : logit * rho_;
      return repeated - count * frequency_ - presence_;
    });
    for (TokenId id : seen_) counts_[static_cast<std::size_t>(id)] = 0;
  }

 private:
  float rho_, presence_, frequency_;
  int last_n_;
  std::vector<std::int32_t> counts_;  // [n_vocab], zero between calls
  std::vector<TokenId> seen_;
};

}  // namespace

std::unique_ptr<Stage> make_penalties(const SamplingOptions& options, const TokenTable& tokens) {
  const bool off = options.repeat_penalty == 1 && options.presence_penalty == 0 && options.frequency_penalty == 0;
  if (off || options.repeat_last_n == 0) return nullptr;
  return std::make_unique<Penalties>(options, tokens.n_vocab());
}

}  // namespace llm::sampling
