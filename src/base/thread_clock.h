#ifndef BASE_THREAD_CLOCK_H
#define BASE_THREAD_CLOCK_H

#include <ctime>

#include <chrono>

namespace llm {

// Processor time of this thread: limits on work count it, so that a busy machine refuses nothing that an idle one
// takes.
inline std::chrono::nanoseconds thread_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace llm

#endif
