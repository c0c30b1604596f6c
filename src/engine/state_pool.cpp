#include "engine/state_pool.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <llm/error.hpp>

namespace llm::engine {
namespace {

constexpr std::uint64_t page_bytes = 4096;  // the smallest page of the systems we run on
constexpr std::uint64_t huge_page_bytes = std::uint64_t{2} << 20;

std::byte* aligned(void* p, std::uint64_t alignment) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return reinterpret_cast<std::byte*>((address + alignment - 1) / alignment * alignment);
}

}  // namespace

std::uint64_t StatePool::block_bytes(const StateGroup& group, int block_tokens) {
  const std::uint64_t tokens = group.kind == StateKind::per_sequence ? 1 : static_cast<std::uint64_t>(block_tokens);
  const std::uint64_t bytes = std::max<std::uint64_t>(group.unit_bytes * tokens, 1);
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

StatePool::StatePool(std::vector<StateGroup> groups, int block_tokens, std::uint64_t budget_bytes)
    : groups_(std::move(groups)), block_tokens_(block_tokens), budget_(budget_bytes), regions_(groups_.size()) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    Region& region = regions_[i];
    region.block_bytes = block_bytes(groups_[i], block_tokens);
    region.capacity = std::min<std::uint64_t>(budget_ / region.block_bytes, UINT32_MAX);
    if (region.capacity == 0) continue;
    region.mapped_bytes = region.capacity * region.block_bytes + huge_page_bytes;
    void* mapped = mmap(nullptr, region.mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
      unmap();
      throw Error(ErrorCode::memory,
                  fmt::format("sequence state: the system refused {} bytes of address space", region.mapped_bytes));
    }
    region.mapped = mapped;
    region.base = aligned(mapped, huge_page_bytes);
    region.holders.reserve(std::min<std::uint64_t>(region.capacity, 1 << 20));
    region.warm.reserve(region.holders.capacity());
    region.cold.reserve(region.holders.capacity());
  }
}

StatePool::~StatePool() {
  unmap();
}

void StatePool::unmap() const {
  for (const Region& region : regions_) {
    if (region.mapped != nullptr) munmap(region.mapped, region.mapped_bytes);
  }
}

// Address space becomes memory in steps, so that a strict system is asked for what is used only; in whole huge pages
// where blocks are that large: reading keys and values then costs fewer page walks.
bool StatePool::make_usable(Region& region) {
  const std::uint64_t step = std::max<std::uint64_t>(16, region.n_usable / 4);
  const std::uint64_t n = std::min(region.n_usable + step, region.capacity);
  std::byte* begin = region.base + region.n_usable * region.block_bytes;
  std::byte* end = aligned(region.base + n * region.block_bytes, huge_page_bytes);
  end = std::min(end, region.base + region.capacity * region.block_bytes);
  const auto bytes = static_cast<std::uint64_t>(end - begin);
  if (mprotect(begin, bytes, PROT_READ | PROT_WRITE) != 0) return false;
  if (16 * region.block_bytes >= huge_page_bytes) madvise(begin, bytes, MADV_HUGEPAGE);
  region.n_usable = n;
  return true;
}

std::uint32_t StatePool::index_of(const Region& region, const std::byte* block) const {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(block - region.base) / region.block_bytes);
}

std::uint32_t& StatePool::holders_of(int group, const std::byte* block) {
  Region& region = regions_[static_cast<std::size_t>(group)];
  return region.holders[index_of(region, block)];
}

std::uint32_t StatePool::holders(int group, const std::byte* block) const {
  const Region& region = regions_[static_cast<std::size_t>(group)];
  return region.holders[index_of(region, block)];
}

// Gives pages of free blocks back to the system until `bytes` more fit into the budget.
bool StatePool::cool(std::uint64_t bytes) {
  for (Region& region : regions_) {
    while (resident_ + bytes > budget_ && !region.warm.empty()) {
      const std::uint32_t index = region.warm.back();
      region.warm.pop_back();
      madvise(region.base + index * region.block_bytes, region.block_bytes, MADV_DONTNEED);
      region.cold.push_back(index);
      resident_ -= region.block_bytes;
    }
  }
  return resident_ + bytes <= budget_;
}

std::byte* StatePool::take(int group) {
  Region& region = regions_[static_cast<std::size_t>(group)];
  if (used_ + region.block_bytes > budget_) return nullptr;
  std::uint32_t index = 0;
  if (!region.warm.empty()) {
    index = region.warm.back();
    region.warm.pop_back();
  } else {
    if (!cool(region.block_bytes)) return nullptr;
    if (!region.cold.empty()) {
      index = region.cold.back();
      region.cold.pop_back();
    } else {
      if (region.holders.size() == region.capacity) return nullptr;
      if (region.holders.size() == region.n_usable && !make_usable(region)) return nullptr;
      index = static_cast<std::uint32_t>(region.holders.size());
      region.holders.push_back(0);
    }
    resident_ += region.block_bytes;
  }
  region.holders[index] = 1;
  used_ += region.block_bytes;
  return region.base + index * region.block_bytes;
}

void StatePool::release(int group, std::byte* block) {
  Region& region = regions_[static_cast<std::size_t>(group)];
  const std::uint32_t index = index_of(region, block);
  if (--region.holders[index] > 0) return;
  region.warm.push_back(index);
  used_ -= region.block_bytes;
}

std::vector<StatePool::Held> StatePool::held(int group) const {
  const Region& region = regions_[static_cast<std::size_t>(group)];
  std::vector<Held> result;
  for (std::size_t i = 0; i < region.holders.size(); ++i) {
    if (region.holders[i] > 0) result.push_back({region.base + i * region.block_bytes, region.holders[i]});
  }
  return result;
}

}  // namespace llm::engine
