#ifndef MODEL_STATE_LAYOUT_H
#define MODEL_STATE_LAYOUT_H

#include <cstdint>
#include <vector>

#include "base/tensor_type.h"
#include "model/step.h"
#include "ops/ops.h"

namespace llm::model {

// Keys and values of one layer, whatever their type.
struct KvShape {
  int n_head_kv = 0;
  int key_dim = 0;
  int value_dim = 0;
  bool values_in_keys = false;
};

// What the layers of a model keep, as they ask for it when they are bound.
class StateLayout {
 public:
  // Where a layer's keys and values are: number of the slot.
  int add_kv(StateKind kind, int window, const KvShape& shape);
  // Keys and values that live within a step only (encoders): no group of the engine's pool.
  int add_transient_kv(const KvShape& shape);
  // Floats that a recurrence keeps: offset in the sequence's record, in bytes.
  std::size_t add_record(std::int64_t n_floats);

  struct Slot {
    int group = 0;  // transient: -1
    KvShape shape;
  };
  struct Group {
    StateKind kind;
    int window;
  };
  const std::vector<Slot>& slots() const { return slots_; }
  const std::vector<Group>& groups() const { return groups_; }
  int record_group() const { return record_group_; }  // -1: none
  bool has_transient() const { return transient_; }

  std::vector<StateGroup> state_groups(TensorType kv_type) const;
  // Place of each slot's layer in its group's blocks.
  std::vector<ops::KvLayout> layouts(TensorType kv_type, int block_tokens) const;
  // Largest block of the transient slots, which share their memory.
  std::size_t transient_block_bytes(int block_tokens) const;

 private:
  int group_of(StateKind kind, int window);
  std::vector<Slot> slots_;
  std::vector<Group> groups_;
  std::size_t record_bytes_ = 0;
  int record_group_ = -1;
  bool transient_ = false;
};

}  // namespace llm::model

#endif
