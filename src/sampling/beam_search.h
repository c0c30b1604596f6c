#ifndef SAMPLING_BEAM_SEARCH_H
#define SAMPLING_BEAM_SEARCH_H

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <llm/sampling.hpp>

#include "sampling/token_mask.h"

namespace llm::sampling {

// The bookkeeping of a beam search, without a model: rows of log-probabilities in, beginnings to follow out. Of equal
// candidates the one of the better beam counts, then the lower id.
class BeamSearch {
 public:
  // ends: tokens that complete an answer. max_tokens: longest answer, the end included.
  BeamSearch(const BeamOptions& options, std::span<const TokenId> ends, std::int64_t max_tokens);

  // A beginning that is followed; best first. At first there is one, the empty one.
  struct Live {
    double sum = 0;  // of its tokens' log-probabilities
    int node = -1;   // -1: nothing yet
    int parent = 0;  // which of the beginnings before it goes on
    TokenId token = -1;
  };
  std::span<const Live> live() const { return live_; }

  // One row for each live beginning, in any order: log-probability of token i is logits[i] - log_sum. Only tokens in
  // `allowed` count (null: all).
  void offer(std::size_t beam, std::span<const float> logits, double log_sum, const TokenMask* allowed);
  // The row of a beginning that goes on with this token for certain, at no cost.
  void offer_forced(std::size_t beam, TokenId token, float logprob);
  // After all rows: chooses the next beginnings. False: the search has ended.
  bool advance();

  // What was found so far, best first; after the end at least one.
  struct Answer {
    double score = 0;
    int node = -1;
    bool ended = false;  // by an end token, which is its last one
  };
  std::span<const Answer> answers() const { return answers_; }
  // Completes what is under way as it is.
  void cut();

  // A token that was chosen, after those of its parent.
  struct Node {
    int parent = -1;
    TokenId token = 0;
    float logprob = 0;
    int beam = 0;  // whose row it came from
  };
  std::span<const Node> nodes() const { return nodes_; }
  // From the first token to that of the node.
  std::vector<int> path(int node) const;

 private:
  struct Candidate {
    double sum = 0;
    std::size_t beam = 0;
    TokenId token = 0;
    float logprob = 0;
  };
  static bool is_better(const Candidate& a, const Candidate& b);
  void keep(const Candidate& candidate);
  bool is_end(TokenId token) const;
  double score(double sum, std::int64_t n_tokens) const;
  void complete(double sum, int node, bool ended);

  BeamOptions options_;
  std::vector<TokenId> ends_;
  std::int64_t max_tokens_, n_tokens_ = 0;
  std::size_t n_beams_, n_kept_;
  std::vector<Live> live_, next_;
  std::vector<Candidate> candidates_;  // a heap, the worst first
  std::vector<Node> nodes_;
  std::vector<Answer> answers_;
};

}  // namespace llm::sampling

#endif
