#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace llm {

// A 64-bit sum of bytes that tells accidents apart, not attackers. Depends on how the bytes are cut into add() calls.
class Hash {
 public:
  void add(std::span<const std::byte> bytes) {
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      mix(word);
    }
    std::uint64_t last = 0;
    if (at < bytes.size()) std::memcpy(&last, bytes.data() + at, bytes.size() - at);
    mix(last);
    mix(bytes.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(std::uint64_t number) { mix(number); }
  std::uint64_t value() const { return state_ ^ state_ >> 32; }

 private:
  void mix(std::uint64_t word) {
    state_ = (state_ ^ word) * 0x9fb21c651e98df25ULL;
    state_ ^= state_ >> 29;
  }
  std::uint64_t state_ = 0x243f6a8885a308d3ULL;
};

}  // namespace llm

#endif
