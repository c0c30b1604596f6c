#ifndef CHAT_BUDGET_H
#define CHAT_BUDGET_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace llm::chat {

// What a rendering may use before it is refused. The time is processor time of the rendering thread.
struct Limits {
  std::int64_t steps = 1'000'000;
  std::size_t text_bytes = std::size_t{16} << 20;    // one string, and the output
  std::size_t memory_bytes = std::size_t{64} << 20;  // all strings and containers alive
  std::int64_t nanoseconds = 700'000'000;
  int depth = 800;  // nodes of the template being evaluated within each other
};

// An error of a running template without its place, which the interpreter adds.
struct Failure {
  std::string message;
};

[[noreturn]] void fail(std::string message);

// Counts what a rendering uses and throws Failure at a limit.
class Budget {
 public:
  explicit Budget(const Limits& limits = {});

  const Limits& limits() const { return limits_; }
  // One step is about the evaluation of one node, or 64 bytes looked at.
  void step(std::size_t n = 1) {
    steps_ += static_cast<std::int64_t>(n < (std::size_t{1} << 40) ? n : std::size_t{1} << 40);
    if (steps_ > limits_.steps) too_many_steps();
    if (steps_ >= next_look_) look_at_clock();
  }
  void scan(std::size_t bytes) { step(bytes / 64); }
  void allocate(std::size_t bytes);
  void release(std::size_t bytes) noexcept { memory_ -= bytes; }

 private:
  [[noreturn]] void too_many_steps() const;
  void look_at_clock();

  Limits limits_;
  std::int64_t steps_ = 0, next_look_ = 4096, start_ = 0;
  std::size_t memory_ = 0;
};

}  // namespace llm::chat

#endif
