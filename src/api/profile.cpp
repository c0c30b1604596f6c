#include <algorithm>
#include <array>

#include "api/engine_impl.h"
#include "ops/profile.h"

namespace llm {
inline namespace v1 {

namespace {

constexpr std::array<std::string_view, ops::Profile::n_parts> part_names = {"inputs", "mixer", "cross-attention",
                                                                            "feed-forward", "output"};
constexpr std::array<std::string_view, ops::Profile::n_operations> operation_names = {
    "embedding", "norm", "packing", "product", "positions", "keys, values", "attention", "scan", "routing", "rows"};

}  // namespace

StepProfile Engine::profile() const {
  StepProfile result;
  const ops::Profile* profile = impl_->runner.profile();
  if (profile == nullptr) return result;
  result.n_steps = profile->n_steps();
  result.step_seconds = profile->other_seconds();
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    for (std::size_t o = 0; o < operation_names.size(); ++o) {
      const ops::Profile::Cell& cell = profile->cell(p, o);
      if (cell.n_calls == 0) continue;
      result.entries.push_back({part_names[p], operation_names[o], cell.seconds, cell.n_calls, cell.weight_bytes});
      result.step_seconds += cell.seconds;
    }
  }
  std::sort(result.entries.begin(), result.entries.end(),
            [](const ProfileEntry& a, const ProfileEntry& b) { return a.seconds > b.seconds; });
  return result;
}

}  // namespace v1
}  // namespace llm
