#ifndef OPS_PROFILE_H
#define OPS_PROFILE_H

#include <array>
#include <chrono>
#include <cstdint>

namespace llm::ops {

// The parts of a forward pass, and the kinds of operations in them.
enum class Part : std::uint8_t { inputs, mixer, cross_attention, feed_forward, output, count };
enum class Operation : std::uint8_t {
  embedding,
  norm,
  packing,  // activations in the form that products read
  product,  // matrix products
  positions,
  keys_values,  // rotation and storing of keys and values
  attention,
  scan,
  routing,
  rows,  // other work on rows
  count
};

// Where the time of the steps goes, by what the first worker is in; its waits for the others belong to the operation
// that they end. Filled by that worker alone.
class Profile {
 public:
  struct Cell {
    double seconds = 0;
    std::int64_t n_calls = 0;
    std::uint64_t weight_bytes = 0;  // that products read
  };
  static constexpr std::size_t n_parts = static_cast<std::size_t>(Part::count);
  static constexpr std::size_t n_operations = static_cast<std::size_t>(Operation::count);

  void begin_step() {
    last_ = Clock::now();
    current_ = nullptr;
    ++n_steps_;
  }
  void enter(Part part) { part_ = part; }
  void enter(Operation operation, std::uint64_t weight_bytes) {
    account();
    current_ = &cells_[static_cast<std::size_t>(part_)][static_cast<std::size_t>(operation)];
    ++current_->n_calls;
    current_->weight_bytes += weight_bytes;
  }
  void end_step() { account(); }

  const Cell& cell(std::size_t part, std::size_t operation) const { return cells_[part][operation]; }
  std::int64_t n_steps() const { return n_steps_; }
  double other_seconds() const { return other_; }  // in steps, before the first operation

 private:
  using Clock = std::chrono::steady_clock;

  void account() {
    const Clock::time_point now = Clock::now();
    (current_ != nullptr ? current_->seconds : other_) += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

  std::array<std::array<Cell, n_operations>, n_parts> cells_{};
  Cell* current_ = nullptr;
  Part part_ = Part::inputs;
  Clock::time_point last_{};
  double other_ = 0;
  std::int64_t n_steps_ = 0;
};

}  // namespace llm::ops

#endif
