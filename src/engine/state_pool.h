#ifndef ENGINE_STATE_POOL_H
#define ENGINE_STATE_POOL_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/step.h"

namespace llm::engine {

using model::StateGroup;
using model::StateKind;

// Memory of all sequences' state: blocks of `block_tokens` positions and records, one size a group, all from one budget
// of bytes. Address space is reserved for the whole budget, pages come with use; a block that one group gives back
// serves the others. Blocks are counted: whoever holds one shares it read only, unless it is the only holder.
class StatePool {
 public:
  // Throws Error(memory) if the address space cannot be reserved.
  StatePool(std::vector<StateGroup> groups, int block_tokens, std::uint64_t budget_bytes);
  StatePool(const StatePool&) = delete;
  StatePool& operator=(const StatePool&) = delete;
  ~StatePool();

  std::span<const StateGroup> groups() const { return groups_; }
  int n_groups() const { return static_cast<int>(groups_.size()); }
  int block_tokens() const { return block_tokens_; }
  // What a block (per_token, per_source) or record (per_sequence) of a group takes of the budget: whole pages.
  std::uint64_t block_bytes(int group) const { return regions_[static_cast<std::size_t>(group)].block_bytes; }
  static std::uint64_t block_bytes(const StateGroup& group, int block_tokens);

  std::uint64_t budget_bytes() const { return budget_; }
  std::uint64_t used_bytes() const { return used_; }
  std::uint64_t free_bytes() const { return budget_ - used_; }

  // A block with one holder, contents undefined; null if the budget is spent.
  std::byte* take(int group);
  void share(int group, std::byte* block) { ++holders_of(group, block); }
  void release(int group, std::byte* block);
  std::uint32_t holders(int group, const std::byte* block) const;

  // Blocks of a group that somebody holds, for checks: address and number of holders.
  struct Held {
    const std::byte* block;
    std::uint32_t n_holders;
  };
  std::vector<Held> held(int group) const;

 private:
  struct Region {
    void* mapped = nullptr;
    std::uint64_t mapped_bytes = 0;
    std::byte* base = nullptr;  // block 0
    std::uint64_t block_bytes = 0;
    std::uint64_t capacity = 0;          // blocks of address space
    std::uint64_t n_usable = 0;          // blocks that may be written to
    std::vector<std::uint32_t> holders;  // of every block that was ever taken
    std::vector<std::uint32_t> warm;     // free blocks that still have their pages
    std::vector<std::uint32_t> cold;     // free blocks whose pages went back to the system
  };

  std::uint32_t& holders_of(int group, const std::byte* block);
  std::uint32_t index_of(const Region& region, const std::byte* block) const;
  bool cool(std::uint64_t bytes);
  static bool make_usable(Region& region);
  void unmap() const;

  std::vector<StateGroup> groups_;
  int block_tokens_;
  std::uint64_t budget_;
  std::uint64_t used_ = 0;      // blocks with holders
  std::uint64_t resident_ = 0;  // blocks with holders and warm ones; never above the budget
  std::vector<Region> regions_;
};

}  // namespace llm::engine

#endif
