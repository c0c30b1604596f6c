#ifndef TOKENIZER_MERGE_TABLE_H
#define TOKENIZER_MERGE_TABLE_H

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tokenizer/flat_hash.h"

namespace llm::tokenizer {

// A token id, or a number beyond the vocabulary for a text that only occurs inside merges.
using Symbol = std::uint32_t;
inline constexpr Symbol kNoSymbol = std::numeric_limits<Symbol>::max();

struct Merge {
  Symbol left = kNoSymbol, right = kNoSymbol;
  std::uint32_t rank = std::numeric_limits<std::uint32_t>::max();  // lower goes first
  Symbol result = kNoSymbol;
};

// Pair of adjacent symbols -> the merge that joins them.
class MergeTable {
 public:
  enum class OnRepeat : std::uint8_t { keep_first, take_last };

  void reserve(std::size_t n_merges) {
    slots_.assign(table_slots(n_merges), Merge{});
    mask_ = slots_.size() - 1;
  }
  // At most as many pairs as reserved.
  void insert(const Merge& merge, OnRepeat on_repeat) {
    std::uint64_t slot = hash_pair(merge.left, merge.right) & mask_;
    while (slots_[slot].left != kNoSymbol) {
      if (slots_[slot].left == merge.left && slots_[slot].right == merge.right) {
        if (on_repeat == OnRepeat::take_last) slots_[slot] = merge;
        return;
      }
      slot = (slot + 1) & mask_;
    }
    slots_[slot] = merge;
  }
  // rank is the largest number if there is no such merge.
  const Merge& find(Symbol left, Symbol right) const {
    std::uint64_t slot = hash_pair(left, right) & mask_;
    while (slots_[slot].left != kNoSymbol && (slots_[slot].left != left || slots_[slot].right != right)) {
      slot = (slot + 1) & mask_;
    }
    return slots_[slot];
  }
  void prefetch(Symbol left, Symbol right) const { __builtin_prefetch(&slots_[hash_pair(left, right) & mask_], 1); }
  std::span<const Merge> slots() const { return slots_; }  // unused ones have left == kNoSymbol

 private:
  std::vector<Merge> slots_ = std::vector<Merge>(1);
  std::uint64_t mask_ = 0;
};

}  // namespace llm::tokenizer

#endif
