#ifndef API_LOOKUP_H
#define API_LOOKUP_H

#include <cstdint>
#include <llm/tokenizer.hpp>
#include <span>
#include <unordered_map>
#include <vector>

namespace llm::api {

// Guesses how a text goes on: as it did after the last occurrence of its last few tokens. How many tokens are guessed
// follows from how many were right before; a wrong guess costs time only.
class Lookup {
 public:
  explicit Lookup(int most) : most_(most), n_next_(most) {}

  // Takes note of ids that came since the last call. `ids` only ever grows.
  void extend(std::span<const TokenId> ids);
  // Appends at most n guesses of what follows `ids`, all of which extend() has seen.
  void guess(std::span<const TokenId> ids, std::int64_t n, std::vector<TokenId>& out) const;
  // Of n guesses so many were right.
  void learn(std::int64_t n_guessed, std::int64_t n_right);

 private:
  static constexpr int n_sizes = 2;  // runs of 2 and of 4 tokens are looked up, longer ones first
  static constexpr std::size_t sizes[n_sizes] = {4, 2};

  std::int64_t most_, n_next_;
  std::size_t n_seen_ = 0;
  // Hash of a run -> position after its last occurrence that has something after it.
  std::unordered_map<std::uint64_t, std::size_t> after_[n_sizes];
};

}  // namespace llm::api

#endif
