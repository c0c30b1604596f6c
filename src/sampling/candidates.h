#ifndef SAMPLING_CANDIDATES_H
#define SAMPLING_CANDIDATES_H

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sampling/token_mask.h"

namespace llm::sampling {

struct Candidate {
  float logit = 0;
  TokenId id = 0;
};

// Likelier first; equal logits: lower id first.
inline bool before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// The tokens that may still be chosen. It starts as a whole row of logits with the maximum of every 64 of them, on
// which truncations only move a floor; a list is made when few are left or a sampler asks for it. Never empty.
class Candidates {
 public:
  explicit Candidates(std::int32_t n_vocab);

  // Starts over. The row may be changed, and must live until the token is chosen. Without a mask every token is
  // allowed. Throws Error(internal) that names `position` if a logit is not finite or the mask is empty.
  void reset(std::span<float> logits, const TokenMask* allowed, std::int64_t position);

  float max_logit();
  std::int64_t size();

  // Sets the logit of some tokens: `change(id, logit) -> logit`, -infinity removes the token unless it is the last. The
  // ids are ascending and distinct; those that are no candidates are left out.
  template <typename Change>
  void edit(std::span<const TokenId> ids, const Change& change);

  // All candidates, likeliest first.
  std::span<Candidate> sorted();
  // The k likeliest, in that order, without forgetting the others.
  std::span<const Candidate> peek(std::size_t k);

  // Truncations. Each keeps at least one.
  void keep_best(std::int64_t k);
  void keep_above(float logit);
  // The shortest run of likeliest tokens with that share of the probability.
  void keep_mass(double share);
  // The first n of sorted() (after the caller reordered or overwrote it); sorts again.
  void keep_first(std::size_t n);

  // Forgets the n likeliest, but not the last one.
  void drop_best(std::size_t n);

  // Divides all logits.
  void divide(float temperature);

  // Of the distribution over the candidates: sum of exp(logit - max), and entropy in nats.
  struct Shape {
    double weight = 0, entropy = 0;
    std::int64_t n = 0;
  };
  Shape shape();
  // Population deviation of the candidates' logits.
  double deviation();

  // The first candidate, likeliest first, at which the summed probability reaches u, in [0, 1).
  Candidate draw(double u);
  Candidate best();

 private:
  bool listed() const { return listed_; }
  void list_above(float raw_logit);
  void list_all();
  void sort();
  // Lists likeliest tokens until they hold `weight` (in units of exp(logit - max)); gives how many of the sorted list
  // that takes.
  std::size_t list_weight(double weight);
  void set_raw(TokenId id, float logit);

  std::span<float> logits_;       // [n_vocab]; in blocks whose maximum is -infinity they mean nothing
  std::vector<float> block_max_;  // [ceil(n_vocab / 64)]
  std::vector<float> scratch_;
  float floor_ = -std::numeric_limits<float>::infinity();  // in units of logits_
  float temperature_ = 1;                                  // logits_ are still to be divided by it

  bool listed_ = false, sorted_ = false;
  std::vector<Candidate> list_;
};

template <typename Change>
void Candidates::edit(std::span<const TokenId> ids, const Change& change) {
  constexpr float absent = -std::numeric_limits<float>::infinity();
  if (!listed_ && (temperature_ != 1 || floor_ != absent)) list_all();
  if (listed_) {
    for (Candidate& c : list_) {
      if (std::binary_search(ids.begin(), ids.end(), c.id)) c.logit = change(c.id, c.logit);
    }
    sorted_ = false;
    return;
  }
  for (TokenId id : ids) {
    const auto i = static_cast<std::size_t>(id);
    if (i >= logits_.size() || block_max_[i / 64] == absent || logits_[i] == absent) continue;
    set_raw(id, change(id, logits_[i]));
  }
}

}  // namespace llm::sampling

#endif
