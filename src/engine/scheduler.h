#ifndef ENGINE_SCHEDULER_H
#define ENGINE_SCHEDULER_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace llm::engine {

// What a step computes. Sequences of different kinds do not share a step.
enum class OutputKind : std::uint8_t { logits, hidden };

// A sequence as the scheduler sees it; in order of arrival.
struct SequenceView {
  std::int64_t n_ids = 0;         // known ids
  std::int64_t n_done = 0;        // whose state is there
  std::int64_t n_guesses = 0;     // of the ids, the last ones, that may be left out of the step
  std::int64_t outputs_from = 0;  // results are wanted at this position and later ones
  std::int64_t stop_at = 0;       // > 0: the step must end at this position if it would pass it
  OutputKind kind = OutputKind::logits;
  bool running = false;       // holds state
  bool needs_source = false;  // the encoder has to run first
  std::int64_t n_source = 0;
  bool whole = false;  // all ids in one step
  bool waits = false;  // is not taken in yet: an older sequence is computing what it needs as well

  // Ids to evaluate: none if nobody waits for results.
  std::int64_t n_pending() const { return outputs_from < n_ids ? n_ids - n_done : 0; }
};

struct StepLimits {
  std::int64_t max_rows = 512;
  std::int64_t max_outputs = 64;  // rows with logits
  std::int64_t max_sequences = 1;
  std::int64_t chunk = 512;  // rows of one sequence
};

// Memory as the scheduler uses it. Indices are those of the views.
class StepMemory {
 public:
  virtual ~StepMemory() = default;
  // Takes a waiting sequence in: finds what is remembered of its ids and sets n_done and stop_at. False: it does not
  // fit now.
  virtual bool admit(std::size_t index, SequenceView& view) = 0;
  // Room for the next n rows of a running sequence.
  virtual bool reserve(std::size_t index, std::int64_t n_rows) = 0;
  virtual void unreserve(std::size_t index) = 0;
  // Takes all state of a running sequence away; it waits again.
  virtual void preempt(std::size_t index) = 0;
  // A sequence that does not fit even alone.
  virtual void refuse(std::size_t index) = 0;
};

struct StepSlice {
  std::size_t index = 0;  // of the view
  std::int64_t n_rows = 0;
  std::int64_t n_outputs = 0;  // the last rows of the slice
};

struct StepChoice {
  std::vector<StepSlice> slices;
  OutputKind kind = OutputKind::logits;
  bool encode = false;  // slices are whole sources
};

// Chooses one step: single tokens of all running sequences, then prompt chunks of the oldest, then new sequences in
// order of arrival, as long as rows, outputs and memory last. If memory is short, the youngest running sequence waits
// again, so the oldest always gets on; and if nothing can run, those that hold state and have nothing to do. `choice`
// is overwritten; the views' n_done and running are kept up to date.
void choose_step(std::span<SequenceView> views, const StepLimits& limits, StepMemory& memory, StepChoice& choice);

}  // namespace llm::engine

#endif
