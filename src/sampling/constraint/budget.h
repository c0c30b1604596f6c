#ifndef SAMPLING_CONSTRAINT_BUDGET_H
#define SAMPLING_CONSTRAINT_BUDGET_H

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string_view>

#include <llm/error.hpp>

#include "base/thread_clock.h"

namespace llm::sampling {

// What compiling one constraint may cost.
class Budget {
 public:
  static constexpr std::uint64_t max_work = 40'000'000;      // elementary steps
  static constexpr std::chrono::milliseconds max_time{800};  // of the processor

  // Throws Error(usage) naming the limit. `what` says what is being compiled.
  void spend(std::uint64_t steps, std::string_view what) {
    work_ += steps;
    if (work_ > max_work) {
      throw Error(ErrorCode::usage, fmt::format("{}: compiling takes more than {} steps", what, max_work));
    }
    if (work_ - last_look_ < 20'000) return;
    last_look_ = work_;
    if (thread_time() - start_ > max_time) {
      throw Error(ErrorCode::usage, fmt::format("{}: compiling takes longer than {} ms", what, max_time.count()));
    }
  }

 private:
  std::chrono::nanoseconds start_ = thread_time();
  std::uint64_t work_ = 0, last_look_ = 0;
};

}  // namespace llm::sampling

#endif
