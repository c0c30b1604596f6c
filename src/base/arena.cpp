#include "base/arena.h"

#include <cstdlib>
#include <limits>
#include <string>

#include <llm/error.hpp>

namespace llm {

std::size_t ArenaPlan::take(std::size_t bytes) {
  const std::size_t offset = at_;
  if (bytes > std::numeric_limits<std::size_t>::max() / 2 - offset) {
    throw Error(ErrorCode::memory, "arena: " + std::to_string(bytes) + " bytes more than the address space holds");
  }
  at_ = (offset + bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
  high_ = at_ > high_ ? at_ : high_;
  return offset;
}

Arena::Arena(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const std::size_t whole = (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
  void* data = whole < bytes ? nullptr : std::aligned_alloc(arena_alignment, whole);
  if (data == nullptr) {
    throw Error(ErrorCode::memory, "working memory: cannot allocate " + std::to_string(bytes) + " bytes");
  }
  data_.reset(static_cast<std::byte*>(data));
}

void Arena::Free::operator()(std::byte* data) const {
  std::free(data);
}

}  // namespace llm
