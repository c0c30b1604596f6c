#include "chat/budget.h"

#include <utility>

#include <fmt/format.h>

#include "base/thread_clock.h"

namespace llm::chat {

namespace {

std::int64_t thread_nanoseconds() {
  return thread_time().count();
}

}  // namespace

void fail(std::string message) {
  throw Failure{std::move(message)};
}

Budget::Budget(const Limits& limits) : limits_(limits), start_(thread_nanoseconds()) {}

void Budget::allocate(std::size_t bytes) {
  if (bytes > limits_.memory_bytes || memory_ + bytes > limits_.memory_bytes) {
    fail(fmt::format("the template needs more than {} MiB of memory", limits_.memory_bytes >> 20));
  }
  memory_ += bytes;
}

void Budget::too_many_steps() const {
  fail(fmt::format("the template runs for more than {} steps", limits_.steps));
}

void Budget::look_at_clock() {
  next_look_ = steps_ + 4096;
  if (thread_nanoseconds() - start_ > limits_.nanoseconds) {
    fail(fmt::format("the template runs for more than {} ms", limits_.nanoseconds / 1'000'000));
  }
}

}  // namespace llm::chat
