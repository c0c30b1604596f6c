#ifndef ENGINE_INVARIANTS_H
#define ENGINE_INVARIANTS_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/sequence_state.h"
#include "engine/state_pool.h"

namespace llm::engine {

// The pool's bookkeeping beside who really uses what.
struct PoolSnapshot {
  struct Group {
    std::uint64_t block_bytes = 0;
    std::map<const std::byte*, std::uint32_t> holders;  // as the pool counts them
    std::map<const std::byte*, std::uint32_t> uses;     // as sequences and the prefix tree have them
  };
  std::vector<Group> groups;
  std::uint64_t used_bytes = 0, budget_bytes = 0;
};

PoolSnapshot snapshot_of(const StatePool& pool);
void add_holders(PoolSnapshot& snapshot, const SequenceState& state);

// The first rule that is broken, in words; empty: none. No block is lost (held but not used), shared wrongly (used more
// or less often than it is held), or counted wrongly, and the budget is kept.
std::string find_violation(const PoolSnapshot& snapshot);

}  // namespace llm::engine

#endif
