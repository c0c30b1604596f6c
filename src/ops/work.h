#ifndef OPS_WORK_H
#define OPS_WORK_H

#include <cstddef>
#include <cstdint>

#include "base/threads.h"

// How operations hand out work; private to this room.

namespace llm::ops {

constexpr std::size_t align_bytes(std::size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

// Rows of activations at a time where products pass through scratch.
constexpr std::int64_t max_scratch_tokens = 256;

// Weight rows of one piece of work in products of many tokens, at most.
constexpr std::int64_t max_product_rows = 128;
// Products of up to so many tokens wait for memory, which gives most in long streams: their pieces are longer.
constexpr std::int64_t few_tokens = 16;
constexpr std::int64_t few_tokens_product = few_tokens * 1024;  // tokens x weight rows of a piece, at most

// Floats of the product of a piece, in steps of up to n_rows tokens.
constexpr std::int64_t product_floats(std::int64_t n_rows) {
  const std::int64_t many = (n_rows < max_scratch_tokens ? n_rows : max_scratch_tokens) * max_product_rows;
  return many > few_tokens_product ? many : few_tokens_product;
}

// Numbered pieces of work, in groups that all workers walk in the same order; each piece goes to the worker that asks
// first. A barrier must follow before the next hand-out.
class WorkItems {
 public:
  explicit WorkItems(const Worker& worker) : worker_(worker) {}

  // The next `count` pieces form a group.
  void next_group(std::int64_t count) {
    begin_ = end_;
    end_ += count;
  }

  // Gives this worker's next piece of the group, numbered from 0; false if there is none.
  bool take(std::int64_t& item) {
    if (!held_) {
      number_ = worker_.take();
      held_ = true;
    }
    if (number_ >= end_) return false;
    item = number_ - begin_;
    held_ = false;
    return true;
  }

 private:
  const Worker& worker_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
  std::int64_t number_ = 0;
  bool held_ = false;
};

}  // namespace llm::ops

#endif
