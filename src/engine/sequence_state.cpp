#include "engine/sequence_state.h"

#include <algorithm>
#include <cstring>

namespace llm::engine {
namespace {

// First position that a row at `position` or later may look at.
std::int64_t first_visible(const StateGroup& group, std::int64_t position) {
  return group.window > 0 ? std::max<std::int64_t>(0, position - group.window) : 0;
}

}  // namespace

std::uint64_t state_bytes(std::span<const StateGroup> groups, int block_tokens, std::int64_t n_done, std::int64_t n,
                          std::int64_t n_source, std::int64_t chunk) {
  const auto blocks = [&](std::int64_t positions) {
    return static_cast<std::uint64_t>((positions + block_tokens - 1) / block_tokens);
  };
  std::uint64_t bytes = 0;
  for (const StateGroup& group : groups) {
    std::uint64_t count = 1;
    if (group.kind == StateKind::per_source) count = blocks(n_source);
    if (group.kind == StateKind::per_token) {
      count = blocks(n) - blocks(n_done) + (n_done % block_tokens != 0 ? 1 : 0);
      // Behind a window blocks come back; its first and last block may be cut.
      if (group.window > 0) {
        const std::uint64_t most = blocks(group.window + chunk) + 2;
        count = std::min(count, most - std::min(blocks(n_done), blocks(group.window)));
      }
    }
    bytes += count * StatePool::block_bytes(group, block_tokens);
  }
  return bytes;
}

std::uint64_t state_bytes(const StatePool& pool, std::int64_t n_done, std::int64_t n, std::int64_t n_source,
                          std::int64_t chunk) {
  return state_bytes(pool.groups(), pool.block_tokens(), n_done, n, n_source, chunk);
}

SequenceState::SequenceState(StatePool& pool, std::int64_t max_positions, std::int64_t max_source)
    : pool_(&pool), blocks_(pool.groups().size()), tables_(pool.groups().size()) {
  for (std::size_t g = 0; g < blocks_.size(); ++g) {
    const StateKind kind = pool.groups()[g].kind;
    blocks_[g].reserve(
        kind == StateKind::per_sequence ? 1 : blocks_for(kind == StateKind::per_source ? max_source : max_positions));
    tables_[g] = blocks_[g].data();
  }
}

void SequenceState::append(int group, std::byte* block) {
  std::vector<std::byte*>& blocks = blocks_[static_cast<std::size_t>(group)];
  blocks.push_back(block);
  tables_[static_cast<std::size_t>(group)] = blocks.data();
}

void SequenceState::release_from(int group, std::size_t n_kept) {
  std::vector<std::byte*>& blocks = blocks_[static_cast<std::size_t>(group)];
  while (blocks.size() > n_kept) {
    if (blocks.back() != nullptr) pool_->release(group, blocks.back());
    blocks.pop_back();
  }
}

std::uint64_t SequenceState::bytes_to_reserve(std::int64_t n) const {
  std::uint64_t bytes = 0;
  for (int g = 0; g < pool_->n_groups(); ++g) {
    const std::vector<std::byte*>& blocks = blocks_[static_cast<std::size_t>(g)];
    switch (pool_->groups()[static_cast<std::size_t>(g)].kind) {
      case StateKind::per_sequence:
        if (blocks.empty()) bytes += pool_->block_bytes(g);
        break;
      case StateKind::per_token: {
        std::size_t count = blocks_for(size_ + n) - std::min(blocks.size(), blocks_for(size_ + n));
        const std::size_t last = static_cast<std::size_t>(size_ / pool_->block_tokens());
        if (n > 0 && size_ % pool_->block_tokens() != 0 && pool_->holders(g, blocks[last]) > 1) ++count;
        bytes += count * pool_->block_bytes(g);
        break;
      }
      case StateKind::per_source:
        break;
    }
  }
  return bytes;
}

bool SequenceState::take_records() {
  for (int g = 0; g < pool_->n_groups(); ++g) {
    const StateGroup& group = pool_->groups()[static_cast<std::size_t>(g)];
    if (group.kind != StateKind::per_sequence || !blocks_[static_cast<std::size_t>(g)].empty()) continue;
    std::byte* record = pool_->take(g);
    if (record == nullptr) return false;
    std::memset(record, 0, group.unit_bytes);
    append(g, record);
  }
  return true;
}

bool SequenceState::reserve(std::int64_t n) {
  if (bytes_to_reserve(n) > pool_->free_bytes()) return false;
  bool fits = take_records();
  const std::size_t last = static_cast<std::size_t>(size_ / pool_->block_tokens());
  for (int g = 0; fits && g < pool_->n_groups(); ++g) {
    if (pool_->groups()[static_cast<std::size_t>(g)].kind != StateKind::per_token) continue;
    std::vector<std::byte*>& blocks = blocks_[static_cast<std::size_t>(g)];
    if (n > 0 && size_ % pool_->block_tokens() != 0 && pool_->holders(g, blocks[last]) > 1) {
      std::byte* copy = pool_->take(g);
      fits = copy != nullptr;
      if (!fits) break;
      std::memcpy(copy, blocks[last], pool_->block_bytes(g));
      pool_->release(g, blocks[last]);
      blocks[last] = copy;
    }
    while (fits && blocks.size() < blocks_for(size_ + n)) {
      std::byte* block = pool_->take(g);
      fits = block != nullptr;
      if (fits) append(g, block);
    }
  }
  if (!fits) unreserve();
  return fits;
}

bool SequenceState::reserve_source(std::int64_t n_source) {
  bool fits = true;
  for (int g = 0; fits && g < pool_->n_groups(); ++g) {
    if (pool_->groups()[static_cast<std::size_t>(g)].kind != StateKind::per_source) continue;
    while (fits && blocks_[static_cast<std::size_t>(g)].size() < blocks_for(n_source)) {
      std::byte* block = pool_->take(g);
      fits = block != nullptr;
      if (fits) append(g, block);
    }
  }
  if (fits)
    n_source_ = n_source;
  else
    clear();
  return fits;
}

void SequenceState::unreserve() {
  for (int g = 0; g < pool_->n_groups(); ++g) {
    const StateKind kind = pool_->groups()[static_cast<std::size_t>(g)].kind;
    if (kind == StateKind::per_token) release_from(g, blocks_for(size_));
    if (kind == StateKind::per_sequence && size_ == 0) release_from(g, 0);
  }
}

void SequenceState::drop_passed() {
  for (int g = 0; g < pool_->n_groups(); ++g) {
    const StateGroup& group = pool_->groups()[static_cast<std::size_t>(g)];
    if (group.kind != StateKind::per_token || group.window <= 0) continue;
    std::vector<std::byte*>& blocks = blocks_[static_cast<std::size_t>(g)];
    const std::size_t n_passed = static_cast<std::size_t>(first_visible(group, size_) / pool_->block_tokens());
    for (std::size_t i = std::min(n_passed, blocks.size()); i-- > 0 && blocks[i] != nullptr;) {
      pool_->release(g, blocks[i]);
      blocks[i] = nullptr;
    }
  }
}

bool SequenceState::can_rewind_to(std::int64_t position) const {
  if (position == size_ || position == 0) return true;
  if (position > size_) return false;
  for (std::size_t g = 0; g < blocks_.size(); ++g) {
    const StateGroup& group = pool_->groups()[g];
    if (group.kind == StateKind::per_sequence) return false;
    if (group.kind != StateKind::per_token) continue;
    const std::size_t first = static_cast<std::size_t>(first_visible(group, position) / pool_->block_tokens());
    for (std::size_t i = first; i < blocks_for(position); ++i) {
      if (blocks_[g][i] == nullptr) return false;
    }
  }
  return true;
}

void SequenceState::rewind(std::int64_t position) {
  if (position == size_) return;
  size_ = position;
  unreserve();
}

void SequenceState::clear() {
  for (int g = 0; g < pool_->n_groups(); ++g) release_from(g, 0);
  size_ = 0;
  n_source_ = 0;
}

bool SequenceState::fork(const SequenceState& other) {
  if (other.size_ == 0 && other.n_source_ == 0) {
    clear();
    return true;
  }
  const bool fits = assemble(
      other.size_, [&](int g, std::size_t i) { return other.block(g, i); }, [&](int g) { return other.block(g, 0); });
  if (!fits) {
    clear();
    return false;
  }
  for (int g = 0; g < pool_->n_groups(); ++g) {
    if (pool_->groups()[static_cast<std::size_t>(g)].kind != StateKind::per_source) continue;
    for (std::size_t i = 0; i < other.n_blocks(g); ++i) {
      pool_->share(g, other.block(g, i));
      append(g, other.block(g, i));
    }
  }
  n_source_ = other.n_source_;
  return true;
}

}  // namespace llm::engine
