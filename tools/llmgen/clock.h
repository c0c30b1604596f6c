#ifndef LLMGEN_CLOCK_H
#define LLMGEN_CLOCK_H

#include <chrono>

namespace llmgen {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace llmgen

#endif
