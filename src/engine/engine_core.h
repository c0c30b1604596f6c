#ifndef ENGINE_ENGINE_CORE_H
#define ENGINE_ENGINE_CORE_H

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "engine/prefix_tree.h"
#include "engine/scheduler.h"
#include "engine/sequence_state.h"

namespace llm::engine {

// A model as the engine sees it.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // Writes state and results of one step and runs its tasks on them. If it throws, state of rows that were known before
  // is as it was, except the records of recurrent groups.
  virtual void run(const model::StepPlan& plan) = 0;
};

struct CoreOptions {
  std::vector<StateGroup> groups = {};
  int block_tokens = 64;
  std::uint64_t state_bytes = 0;  // budget of the pool
  std::int64_t n_context = 0;     // longest sequence
  std::int64_t n_source = 0;      // longest source of an encoder-decoder
  std::int64_t n_vocab = 0, n_embd = 0;
  StepLimits limits = {};
  bool share_prefixes = true;
  bool fixed_rope_length = false;  // steps are told the length that a sequence may get
};

// Results of a step for one sequence: rows of logits [n_rows, n_vocab] or hidden states [n_rows, n_embd]. They may be
// changed.
struct StepOutputs {
  std::int64_t position = 0;  // of the first row
  std::int64_t n_rows = 0;
  std::int64_t width = 0;
  float* data = nullptr;

  std::span<float> row(std::int64_t i) const { return {data + i * width, static_cast<std::size_t>(width)}; }
};

// What becomes of a sequence after its results were seen.
struct Advance {
  std::int64_t n_valid = 0;  // the first so many ids are those that were evaluated (guesses may have been replaced)
  std::int64_t outputs_from = 0;  // from where results are wanted next
  std::int64_t n_guesses = 0;     // of the ids, the last ones
  bool done = false;              // the sequence ends
};

// Who a sequence works for.
class SequenceClient {
 public:
  virtual ~SequenceClient() = default;
  // Into how many parts the work on a step's results falls that concerns this client alone; prepare() does it.
  virtual std::int64_t n_parts(const StepOutputs& /*outputs*/) { return 0; }
  // One part, before advance(): called from any thread of the step, parts and clients side by side. Must not throw.
  virtual void prepare(const StepOutputs& /*outputs*/, const std::vector<TokenId>& /*ids*/, std::int64_t /*part*/) {}
  // Sees results, drops guesses from the end of `ids` that proved wrong, and appends what follows. Must not throw.
  virtual Advance advance(const StepOutputs& outputs, std::vector<TokenId>& ids) = 0;
  // The sequence is gone: a step failed, or it does not fit into the pool.
  virtual void fail(const std::exception_ptr& error) = 0;
  // Positions taken over from the prefix tree when it began.
  virtual void began(std::int64_t n_cached) = 0;
};

struct SequenceOptions {
  std::vector<TokenId> ids = {};
  std::vector<TokenId> source = {};  // encoder-decoders
  std::int64_t max_ids = 0;          // most ids it can have; what it may never pass
  std::int64_t outputs_from = 0;
  OutputKind kind = OutputKind::logits;
  bool whole = false;                          // all ids in one step
  bool held = false;                           // stays, with its state, when it has nothing to do and when a step fails
  std::vector<std::int32_t> token_types = {};  // [ids] or empty
};

// Runs many sequences over one model, step by step. One thread at a time. Steps allocate nothing.
class EngineCore {
 public:
  using Id = std::uint64_t;

  // Throws Error(memory).
  EngineCore(StepRunner& runner, CoreOptions options);
  ~EngineCore();

  const CoreOptions& options() const { return options_; }

  // Queues a sequence. The client must outlive it.
  Id add(SequenceOptions options, SequenceClient& client);
  // Ends a sequence, at any time but not from a client's call; what it computed may be remembered.
  void remove(Id id);
  // One step. False: no sequence has anything to do. If it fails, every sequence is as it was before, and those that it
  // contained are told and, unless held, removed.
  bool step();

  // For a sequence that is driven by hand: it stays when it has nothing to do.
  const std::vector<TokenId>& ids(Id id) const;
  // Appends ids, with results wanted from `outputs_from` on.
  void append(Id id, std::span<const TokenId> ids, std::int64_t outputs_from, SequenceClient& client);
  // Forgets ids from n on; state that cannot be rewound is computed again when it is needed.
  void truncate(Id id, std::int64_t n);
  std::int64_t n_done(Id id) const;

  // For held sequences of which several go on from one beginning. `to` becomes a copy of `from`, with the same ids and
  // state but its own client; the state is shared until one of them goes on. Where there is no room for it, it is
  // computed again when it is needed.
  void copy(Id from, Id to);
  // Appends an id whose results are wanted.
  void extend(Id id, TokenId token);

  // How often steps were run, and how often sequences had to give up their state.
  struct Counters {
    std::uint64_t n_steps = 0, n_rows = 0, n_preempted = 0;
  };
  const Counters& counters() const { return counters_; }

  StatePool& pool() { return pool_; }
  PrefixTree& tree() { return tree_; }
  const SequenceState& state(Id id) const;
  // Writes the remembered state of the longest beginning of ids (saved_state.h) and gives its length; 0: nothing is
  // remembered and nothing was written. Throws Error(io).
  std::int64_t save(const std::string& path, std::string_view identity, std::span<const TokenId> ids);
  // From now on recurrent models remember prompts to their last shareable id, not only whole blocks of them. A short
  // prompt is saved too then; it costs a step of its own.
  void keep_prompt_ends() { keeps_prompt_ends_ = true; }
  // Remembers a saved state for sequences that begin with its ids, which it gives. Throws Error(io) that says why not.
  std::vector<TokenId> load(const std::string& path, std::string_view identity);

  // First broken rule of the pool's bookkeeping in words; empty: none. Takes time in the size of everything.
  std::string check() const;

  // Called in every step on the model's thread; see StepPlan::on_hidden.
  std::function<void(int, const float*, std::int64_t, std::int64_t)> on_hidden;

 private:
  struct Sequence;
  class Memory;

  Sequence& find(Id id) const;
  void adopt_longer_prefixes();
  bool waits_for_older(std::size_t index);
  void mark_checkpoint(Sequence& sequence, std::int64_t position);
  std::int64_t stop_at(const Sequence& sequence, std::int64_t n_done) const;
  void build_views();
  void build_plan();
  void build_tasks();
  StepOutputs outputs_of(std::size_t slice) const;
  void commit_step();
  void commit(Sequence& sequence, std::size_t slice);
  void remember_prompt(Sequence& sequence, std::int64_t n_before);
  void remember_all(Sequence& sequence, bool checkpoint);
  void fail(Sequence& sequence, const std::exception_ptr& error);
  void fail_step(const std::exception_ptr& error);
  void forget_finished();

  StepRunner* runner_;
  CoreOptions options_;
  bool recurrent_ = false, sharing_ = false, keeps_prompt_ends_ = false;
  StatePool pool_;
  PrefixTree tree_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // in order of arrival
  Id next_id_ = 1;
  Counters counters_;

  // One step; buffers keep their room.
  std::vector<SequenceView> views_;
  StepChoice choice_;
  std::vector<std::int32_t> tokens_, token_types_, output_rows_;
  std::vector<model::SequenceSlice> slices_;
  std::vector<std::int64_t> first_output_;  // [slice] its first row of the step's results
  struct Task {
    std::size_t slice;
    std::int64_t part;
  };
  std::vector<Task> tasks_;
  Arena logits_;  // [max_outputs, n_vocab]
  Arena hidden_;  // [max_rows, n_embd]
  model::StepPlan plan_;
};

}  // namespace llm::engine

#endif
