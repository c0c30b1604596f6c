#ifndef API_LOOKUP_H
#define API_LOOKUP_H

#include <unordered_map>

#include "api/guesser.h"

namespace llm::api {

// A text goes on as it did after the last occurrence of its last few tokens.
class Lookup final : public Guesser {
 public:
  explicit Lookup(int most) : length_(most) {}

  void guess(std::span<const TokenId> ids, std::int64_t n, std::vector<TokenId>& out) override;
  void learn(std::int64_t n_guessed, std::int64_t n_right) override { length_.learn(n_guessed, n_right); }

 private:
  // Takes note of ids that came since the last call.
  void extend(std::span<const TokenId> ids);

  static constexpr int n_sizes = 2;  // runs of 2 and of 4 tokens are looked up, longer ones first
  static constexpr std::size_t sizes[n_sizes] = {4, 2};

  GuessLength length_;
  std::size_t n_seen_ = 0;
  // Hash of a run -> position after its last occurrence that has something after it.
  std::unordered_map<std::uint64_t, std::size_t> after_[n_sizes];
};

}  // namespace llm::api

#endif
