#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// Keeps exactly the k likeliest.
class TopK final : public Stage {
 public:
  explicit TopK(int k) : k_(k) {}
  void apply(Choice& choice) override { choice.candidates.keep_best(k_); }

 private:
  int k_;
};

}  // namespace

std::unique_ptr<Stage> make_top_k(const SamplingOptions& options, const TokenTable&) {
  return options.top_k > 0 ? std::make_unique<TopK>(options.top_k) : nullptr;
}

}  // namespace llm::sampling
