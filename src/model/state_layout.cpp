#include "model/state_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <llm/error.hpp>

#include "base/arena.h"

namespace llm::model {
namespace {

ops::KvLayout layout_of(const KvShape& shape, TensorType type, int block_tokens, std::size_t offset) {
  ops::KvLayout layout;
  layout.key_type = type;
  layout.value_type = type;
  layout.n_head_kv = shape.n_head_kv;
  layout.key_dim = shape.key_dim;
  layout.value_dim = shape.value_dim;
  layout.block_tokens = block_tokens;
  layout.offset = offset;
  layout.values_in_keys = shape.values_in_keys;
  return layout;
}

void check_type(const KvShape& shape, TensorType type) {
  const TensorTypeInfo& info = tensor_type_info(type);
  if (!ops::is_kv_type(type)) {
    throw Error(ErrorCode::usage,
                fmt::format("type of keys and values: {}, expected f32, f16, bf16, q8_0 or q4_0", info.name));
  }
  const int block = static_cast<int>(info.block_elements);
  for (const int dim : {shape.key_dim, shape.value_dim}) {
    if (dim % block != 0) {
      throw Error(ErrorCode::usage, fmt::format("type of keys and values: {} with heads of {}, expected a multiple of "
                                                "{} (f16 and f32 work)",
                                                info.name, dim, block));
    }
  }
}

constexpr TensorType transient_type = TensorType::F32;

}  // namespace

int StateLayout::group_of(StateKind kind, int window) {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].kind == kind && groups_[i].window == window) return static_cast<int>(i);
  }
  groups_.push_back({kind, window});
  return static_cast<int>(groups_.size()) - 1;
}

int StateLayout::add_kv(StateKind kind, int window, const KvShape& shape) {
  slots_.push_back({group_of(kind, window), shape});
  return static_cast<int>(slots_.size()) - 1;
}

int StateLayout::add_transient_kv(const KvShape& shape) {
  transient_ = true;
  slots_.push_back({-1, shape});
  return static_cast<int>(slots_.size()) - 1;
}

std::size_t StateLayout::add_record(std::int64_t n_floats) {
  if (record_group_ < 0) record_group_ = group_of(StateKind::per_sequence, 0);
  const std::size_t at = record_bytes_;
  const std::size_t bytes = static_cast<std::size_t>(n_floats) * sizeof(float);
  record_bytes_ += (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
  return at;
}

std::vector<StateGroup> StateLayout::state_groups(TensorType kv_type) const {
  std::vector<StateGroup> result;
  for (const Group& group : groups_) {
    result.push_back({group.kind, group.window, group.kind == StateKind::per_sequence ? record_bytes_ : 0});
  }
  for (const Slot& slot : slots_) {
    if (slot.group < 0) continue;
    check_type(slot.shape, kv_type);
    const ops::KvLayout layout = layout_of(slot.shape, kv_type, 1, 0);
    result[static_cast<std::size_t>(slot.group)].unit_bytes += layout.block_bytes();
  }
  return result;
}

std::vector<ops::KvLayout> StateLayout::layouts(TensorType kv_type, int block_tokens) const {
  std::vector<std::size_t> used(groups_.size(), 0);
  std::vector<ops::KvLayout> result;
  for (const Slot& slot : slots_) {
    if (slot.group < 0) {
      result.push_back(layout_of(slot.shape, transient_type, block_tokens, 0));
      continue;
    }
    std::size_t& at = used[static_cast<std::size_t>(slot.group)];
    result.push_back(layout_of(slot.shape, kv_type, block_tokens, at));
    at += result.back().block_bytes();
  }
  return result;
}

std::size_t StateLayout::transient_block_bytes(int block_tokens) const {
  std::size_t bytes = 0;
  for (const Slot& slot : slots_) {
    if (slot.group < 0) bytes = std::max(bytes, layout_of(slot.shape, transient_type, block_tokens, 0).block_bytes());
  }
  return bytes;
}

}  // namespace llm::model
