#ifndef TOKENIZER_FLAT_HASH_H
#define TOKENIZER_FLAT_HASH_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace llm::tokenizer {

__extension__ using Uint128 = unsigned __int128;

inline std::uint64_t mix_bits(std::uint64_t a, std::uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <typename T>
T load_unaligned(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// 64-bit hash of a byte string; odd constants from the digits of pi.
inline std::uint64_t hash_bytes(std::string_view text) {
  constexpr std::uint64_t kA = 0x243F6A8885A308D3ULL, kB = 0x13198A2E03707345ULL;
  const char* at = text.data();
  std::size_t n = text.size();
  std::uint64_t h = kA ^ n;
  while (n > 8) {
    h = mix_bits(h ^ load_unaligned<std::uint64_t>(at), kB);
    at += 8;
    n -= 8;
  }
  std::uint64_t tail = 0;
  if (n >= 4) {
    tail = load_unaligned<std::uint32_t>(at) |
           (static_cast<std::uint64_t>(load_unaligned<std::uint32_t>(at + n - 4)) << 32);
  } else if (n > 0) {
    tail = static_cast<unsigned char>(at[0]) |
           (static_cast<std::uint64_t>(static_cast<unsigned char>(at[n / 2])) << 8) |
           (static_cast<std::uint64_t>(static_cast<unsigned char>(at[n - 1])) << 16);
  }
  return mix_bits(h ^ tail, kA | 1);
}

inline std::uint64_t hash_pair(std::uint32_t left, std::uint32_t right) {
  return mix_bits((static_cast<std::uint64_t>(left) << 32) | right, 0xA4093822299F31D1ULL);
}

// Slots of an open-addressing table for n entries: a power of two, at most two thirds full.
inline std::size_t table_slots(std::size_t n) {
  std::size_t slots = 16;
  while (slots * 2 < n * 3) slots *= 2;
  return slots;
}

}  // namespace llm::tokenizer

#endif
