#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <concepts>
#include <cstdint>
#include <optional>

namespace llm {

// Arithmetic on numbers read from files: nullopt instead of wrapping.
template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// The next multiple of alignment, a power of two.
constexpr std::optional<std::uint64_t> checked_align_up(std::uint64_t value, std::uint64_t alignment) {
  const std::optional<std::uint64_t> above = checked_add(value, alignment - 1);
  if (!above) return std::nullopt;
  return *above & ~(alignment - 1);
}

}  // namespace llm

#endif
