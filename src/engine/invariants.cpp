#include "engine/invariants.h"

#include <fmt/format.h>

namespace llm::engine {

PoolSnapshot snapshot_of(const StatePool& pool) {
  PoolSnapshot snapshot{.groups = std::vector<PoolSnapshot::Group>(pool.groups().size()),
                        .used_bytes = pool.used_bytes(),
                        .budget_bytes = pool.budget_bytes()};
  for (int g = 0; g < pool.n_groups(); ++g) {
    PoolSnapshot::Group& group = snapshot.groups[static_cast<std::size_t>(g)];
    group.block_bytes = pool.block_bytes(g);
    for (const StatePool::Held& held : pool.held(g)) group.holders[held.block] = held.n_holders;
  }
  return snapshot;
}

void add_holders(PoolSnapshot& snapshot, const SequenceState& state) {
  for (std::size_t g = 0; g < snapshot.groups.size(); ++g) {
    const int group = static_cast<int>(g);
    for (std::size_t i = 0; i < state.n_blocks(group); ++i) {
      if (state.block(group, i) != nullptr) ++snapshot.groups[g].uses[state.block(group, i)];
    }
  }
}

std::string find_violation(const PoolSnapshot& snapshot) {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < snapshot.groups.size(); ++g) {
    const PoolSnapshot::Group& group = snapshot.groups[g];
    for (const auto& [block, n_holders] : group.holders) {
      const auto use = group.uses.find(block);
      const std::uint32_t n_uses = use == group.uses.end() ? 0 : use->second;
      if (n_uses == 0) return fmt::format("group {}: a block is held {} times and used by nobody", g, n_holders);
      if (n_uses != n_holders)
        return fmt::format("group {}: a block is held {} times, used {} times", g, n_holders, n_uses);
    }
    for (const auto& [block, n_uses] : group.uses) {
      if (!group.holders.contains(block)) return fmt::format("group {}: a free block is used {} times", g, n_uses);
    }
    bytes += group.holders.size() * group.block_bytes;
  }
  if (bytes != snapshot.used_bytes) {
    return fmt::format("{} bytes are held, {} are counted as used", bytes, snapshot.used_bytes);
  }
  if (bytes > snapshot.budget_bytes)
    return fmt::format("{} bytes are held, the budget is {}", bytes, snapshot.budget_bytes);
  return {};
}

}  // namespace llm::engine
