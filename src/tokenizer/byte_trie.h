#ifndef TOKENIZER_BYTE_TRIE_H
#define TOKENIZER_BYTE_TRIE_H

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/flat_hash.h"

namespace llm::tokenizer {

// Texts -> values, walked byte by byte: all texts that start at a place are found in one pass. Edges lie in one open-
// addressing table.
class ByteTrie {
 public:
  static constexpr std::uint32_t kRoot = 0, kNone = 0xFFFFFFFF;

  // Room for this many bytes of texts in all.
  explicit ByteTrie(std::size_t text_bytes) : slots_(table_slots(text_bytes + 1)), mask_(slots_.size() - 1) {}

  // The first value of a text counts. Not more bytes in all than the constructor was told.
  void add(std::string_view text, std::int32_t value) {
    std::uint32_t node = kRoot;
    for (const char c : text) {
      Slot& slot = slots_[place(node, c)];
      if (slot.child == kNone) {
        slot = {key(node, c), static_cast<std::uint32_t>(values_.size())};
        values_.push_back(-1);
      }
      node = slot.child;
    }
    if (values_[node] < 0) values_[node] = value;
  }
  std::uint32_t child(std::uint32_t node, char c) const { return slots_[place(node, c)].child; }
  // -1 if no text ends at the node.
  std::int32_t value(std::uint32_t node) const { return values_[node]; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t child = kNone;
  };
  static std::uint64_t key(std::uint32_t node, char c) {
    return (static_cast<std::uint64_t>(node) << 8) | static_cast<unsigned char>(c);
  }
  std::size_t place(std::uint32_t node, char c) const {
    const std::uint64_t wanted = key(node, c);
    std::size_t slot = mix_bits(wanted, 0x9E3779B97F4A7C15ULL) & mask_;
    while (slots_[slot].child != kNone && slots_[slot].key != wanted) slot = (slot + 1) & mask_;
    return slot;
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
  std::vector<std::int32_t> values_ = {-1};  // by node
};

}  // namespace llm::tokenizer

#endif
