#ifndef API_GUESSER_H
#define API_GUESSER_H

#include <algorithm>
#include <cstdint>
#include <llm/tokenizer.hpp>
#include <span>
#include <vector>

namespace llm::api {

// Guesses how a sequence goes on. The model checks the guesses in one step and the wrong ones are taken back, so a bad
// guess costs time only.
class Guesser {
 public:
  virtual ~Guesser() = default;
  // Appends at most n guesses of what follows `ids` to `out`. `ids` only ever grows between calls.
  virtual void guess(std::span<const TokenId> ids, std::int64_t n, std::vector<TokenId>& out) = 0;
  // Of the last n_guessed guesses so many were right.
  virtual void learn(std::int64_t n_guessed, std::int64_t n_right) = 0;
};

// How many tokens to guess: as many as were right lately and one more, twice as many after a complete success.
class GuessLength {
 public:
  explicit GuessLength(std::int64_t most) : most_(most), next_(most) {}
  std::int64_t next() const { return next_; }
  void learn(std::int64_t n_guessed, std::int64_t n_right) {
    if (n_guessed == 0) return;
    next_ = n_right == n_guessed ? std::min(most_, next_ * 2) : std::clamp<std::int64_t>(n_right + 1, 1, most_);
  }

 private:
  std::int64_t most_, next_;
};

}  // namespace llm::api

#endif
