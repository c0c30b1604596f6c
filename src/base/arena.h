#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <cstddef>
#include <memory>
#include <span>

namespace llm {

inline constexpr std::size_t arena_alignment = 64;  // bytes: a cache line, a vector of AVX-512

// Hands out offsets before there is memory: what a step needs is summed first and allocated once.
class ArenaPlan {
 public:
  // Offset of `bytes` bytes, a multiple of arena_alignment. Throws Error(memory) if the sum leaves the address space.
  std::size_t take(std::size_t bytes);

  // Bytes taken after mark() may be taken again after release(mark): buffers whose lives do not overlap.
  std::size_t mark() const { return at_; }
  void release(std::size_t mark) { at_ = mark; }

  std::size_t bytes() const { return high_; }

 private:
  std::size_t at_ = 0;
  std::size_t high_ = 0;
};

// One allocation, 64-byte aligned, not initialised: pages that nobody touches take no memory.
class Arena {
 public:
  Arena() = default;
  // Throws Error(memory) if there is no room.
  explicit Arena(std::size_t bytes);

  std::size_t size() const { return size_; }
  std::byte* at(std::size_t offset) const { return data_.get() + offset; }
  template <typename T>
  T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(data_.get() + offset);
  }
  std::span<std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace llm

#endif
