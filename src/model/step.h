#ifndef MODEL_STEP_H
#define MODEL_STEP_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace llm::model {

// What a layer keeps between steps, declared by its mixer. The state pool knows bytes, not models.
enum class StateKind : std::uint8_t {
  per_token,     // keys and values: bytes for every position (only the last `window` ones if window > 0)
  per_sequence,  // recurrent state: one record that every step rewrites
  per_source,    // cross attention: bytes for every position of the encoder's input
};

// Layers with equal (kind, window) share a group. A block of a per_token or per_source group holds
// `block_tokens` positions of all its layers: layer after layer, each [its K part][its V part]; the model computes the
// offsets. A record of a per_sequence group holds the states of all its layers, zero at position 0.
struct StateGroup {
  StateKind kind = StateKind::per_token;
  int window = 0;                // 0: all positions are kept
  std::uint64_t unit_bytes = 0;  // per token (all layers together), or per sequence
};

// Rows of one sequence in a step; they are neighbours in the batch and have consecutive positions.
struct SequenceSlice {
  int row_begin = 0;
  int n_rows = 0;
  std::int64_t position = 0;  // of the first row
  std::int64_t n_source = 0;  // positions of the encoder's output that cross attention sees
  // Length of the sequence for rotations that depend on it (ModelSpec::rope_by_length): prompt and what may follow. It
  // must stay the same for all steps of a sequence; 0: the training length.
  std::int64_t rope_length = 0;
  // One entry a state group. per_token / per_source: the block table, entry i holds positions
  // [i * block_tokens, (i + 1) * block_tokens), null where a window has passed. per_sequence: one pointer, the record.
  std::span<std::byte* const* const> tables;
};

// One step: prompt chunks and single tokens of any number of sequences.
struct StepPlan {
  std::span<const std::int32_t> tokens;   // [n_rows]
  std::span<const SequenceSlice> slices;  // cover all rows in order
  // Encoder pass of an encoder-decoder: tokens are the source, whole sequences from position 0; fills the per_source
  // state. on_hidden shows the encoder's stream; output_rows give last_hidden only.
  bool encode = false;
  std::span<const std::int32_t> token_types;  // [n_rows] or empty (BERT segments)

  std::span<const std::int32_t> output_rows;  // rows whose results are wanted, ascending
  float* logits = nullptr;                    // [output_rows, n_vocab] or null
  float* last_hidden = nullptr;               // [output_rows, n_embd] after the final norm, or null
  // What the threads of the step do with the results once all of them are there: on_outputs(i) for each i in
  // [0, n_output_tasks), several at a time. Must not throw.
  std::int64_t n_output_tasks = 0;
  std::function<void(std::int64_t task)> on_outputs;
  // Test and `logits --hidden`: called on one thread with the residual stream before layer `index` (and after the
  // last): data [n_rows, n_embd].
  std::function<void(int index, const float* data, std::int64_t n_rows, std::int64_t n_embd)> on_hidden;
};

}  // namespace llm::model

#endif
