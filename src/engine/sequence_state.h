#ifndef ENGINE_SEQUENCE_STATE_H
#define ENGINE_SEQUENCE_STATE_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/state_pool.h"

namespace llm::engine {

// Bytes of the pool that a sequence needs to get from n_done to n positions in chunks, besides what it holds.
std::uint64_t state_bytes(const StatePool& pool, std::int64_t n_done, std::int64_t n, std::int64_t n_source,
                          std::int64_t chunk);
std::uint64_t state_bytes(std::span<const StateGroup> groups, int block_tokens, std::int64_t n_done, std::int64_t n,
                          std::int64_t n_source, std::int64_t chunk);

// What one sequence keeps between steps: block tables into the pool, one record for each recurrent group. Positions
// [0, size) hold valid state; reserve() makes room for more, a step writes them, advance() makes them valid.
class SequenceState {
 public:
  // Tables have room for max_positions, so that steps allocate nothing.
  SequenceState(StatePool& pool, std::int64_t max_positions, std::int64_t max_source = 0);
  SequenceState(const SequenceState&) = delete;
  SequenceState& operator=(const SequenceState&) = delete;
  ~SequenceState() { clear(); }

  std::int64_t size() const { return size_; }
  std::int64_t n_source() const { return n_source_; }

  // Room for positions [size, size + n): new blocks, a copy of a shared last block, a zeroed record at position 0.
  // False if the budget does not allow it; then nothing has changed.
  bool reserve(std::int64_t n);
  // Bytes that reserve(n) would take from the pool.
  std::uint64_t bytes_to_reserve(std::int64_t n) const;
  bool reserve_source(std::int64_t n_source);
  // Positions that were reserved and not made valid are given back.
  void unreserve();
  // The next n positions have been written.
  void advance(std::int64_t n) { size_ += n; }
  // Gives back blocks that no later position can see.
  void drop_passed();

  // Whether what positions from `position` on need is still there.
  bool can_rewind_to(std::int64_t position) const;
  // Forgets positions from `position` on; can_rewind_to(position) must hold.
  void rewind(std::int64_t position);
  void clear();
  // Becomes a copy that shares blocks; records are copied. False if the budget does not allow it: then it is empty.
  bool fork(const SequenceState& other);

  // For steps: one table a group.
  std::span<std::byte* const* const> tables() const { return tables_; }

  // For the prefix tree.
  std::size_t n_blocks(int group) const { return blocks_[static_cast<std::size_t>(group)].size(); }
  std::byte* block(int group, std::size_t index) const { return blocks_[static_cast<std::size_t>(group)][index]; }
  // Becomes [0, n) made of blocks that are shared with their holder: blocks(group, index) gives them, null where a
  // window has passed, and record(group) a record to copy. False if the budget does not allow it: then it is empty.
  template <typename Blocks, typename Records>
  bool assemble(std::int64_t n, const Blocks& blocks, const Records& record);

  StatePool& pool() const { return *pool_; }

 private:
  std::size_t blocks_for(std::int64_t positions) const {
    return static_cast<std::size_t>((positions + pool_->block_tokens() - 1) / pool_->block_tokens());
  }
  void release_from(int group, std::size_t n_kept);
  bool take_records();
  void append(int group, std::byte* block);

  StatePool* pool_;
  std::int64_t size_ = 0;
  std::int64_t n_source_ = 0;
  std::vector<std::vector<std::byte*>> blocks_;  // [group][block or record 0]
  std::vector<std::byte* const*> tables_;        // [group]
};

template <typename Blocks, typename Records>
bool SequenceState::assemble(std::int64_t n, const Blocks& blocks, const Records& record) {
  clear();
  if (!take_records()) return false;
  for (int g = 0; g < pool_->n_groups(); ++g) {
    const StateGroup& group = pool_->groups()[static_cast<std::size_t>(g)];
    if (group.kind == StateKind::per_sequence) {
      const std::byte* from = record(g);
      std::copy(from, from + group.unit_bytes, blocks_[static_cast<std::size_t>(g)][0]);
    } else if (group.kind == StateKind::per_token) {
      for (std::size_t i = 0; i < blocks_for(n); ++i) {
        std::byte* block = blocks(g, i);
        if (block != nullptr) pool_->share(g, block);
        append(g, block);
      }
    }
  }
  size_ = n;
  return true;
}

}  // namespace llm::engine

#endif
