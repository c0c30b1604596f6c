#ifndef SAMPLING_CONSTRAINT_AUTOMATON_H
#define SAMPLING_CONSTRAINT_AUTOMATON_H

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "sampling/constraint/impl.h"
#include "sampling/constraint/machine.h"
#include "sampling/constraint_state.h"

namespace llm::sampling {

struct AutomatonState : std::enable_shared_from_this<AutomatonState> {
  Threads threads;  // none: dead
  std::size_t hash = 0;
  // Valid while `generation` is the automaton's. A null successor is not known yet.
  std::uint64_t generation = 0;
  std::unique_ptr<std::array<AutomatonState*, 256>> next;
  std::shared_ptr<const TokenMask> mask;        // of all tokens
  std::shared_ptr<const TokenMask> short_mask;  // of the short ones
  std::optional<std::string> forced;
};

// The pushdown automaton made deterministic as far as texts lead, with what was computed for each state. When it grows
// beyond max_bytes, everything that no answer stands at is forgotten. Usable from several threads.
class Automaton {
 public:
  static constexpr std::size_t max_bytes = 64 << 20;
  static constexpr std::size_t max_bytes_within_call = 160 << 20;
  static constexpr std::chrono::milliseconds max_mask_time{1000};

  Automaton(std::shared_ptr<const Constraint::Impl> constraint, const VocabularyIndex& vocabulary);

  std::shared_ptr<AutomatonState> start();
  // Null: dead.
  std::shared_ptr<AutomatonState> advance(AutomatonState& state, std::string_view bytes);
  std::shared_ptr<const TokenMask> mask(AutomatonState& state);
  std::string forced_bytes(AutomatonState& state, std::size_t limit);
  const VocabularyIndex& vocabulary() const { return vocabulary_; }

 private:
  struct Hash {
    std::size_t operator()(const std::shared_ptr<AutomatonState>& s) const { return s->hash; }
  };
  struct Equal {
    bool operator()(const std::shared_ptr<AutomatonState>& a, const std::shared_ptr<AutomatonState>& b) const {
      return a->threads == b->threads;
    }
  };

  AutomatonState* intern(Threads threads);
  AutomatonState* step(AutomatonState& state, std::uint8_t byte);
  void walk(const TokenTrie& trie, AutomatonState& from, TokenMask& mask);
  void forget_if_large();
  void account(std::size_t bytes);

  std::mutex mutex_;
  std::shared_ptr<const Constraint::Impl> constraint_;
  const VocabularyIndex& vocabulary_;
  Machine machine_;
  std::unordered_set<std::shared_ptr<AutomatonState>, Hash, Equal> states_;
  std::uint64_t generation_ = 1;
  std::size_t bytes_ = 0;
  AutomatonState dead_;
  std::uint64_t n_accounts_ = 0;
  std::chrono::nanoseconds deadline_{};  // in this thread's processor time
};

}  // namespace llm::sampling

#endif
