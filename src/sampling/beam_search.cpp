#include "sampling/beam_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <llm/error.hpp>

namespace llm {
inline namespace v1 {

void BeamOptions::validate() const {
  if (n < 1 || n > 64) throw Error(ErrorCode::usage, fmt::format("beams: found {}, expected 1 to 64", n));
  if (!std::isfinite(length_penalty) || std::fabs(length_penalty) > 100) {
    throw Error(ErrorCode::usage, fmt::format("length penalty: found {}, expected -100 to 100", length_penalty));
  }
}

}  // namespace v1

namespace sampling {

BeamSearch::BeamSearch(const BeamOptions& options, std::span<const TokenId> ends, std::int64_t max_tokens)
    : options_(options),
      ends_(ends.begin(), ends.end()),
      max_tokens_(max_tokens),
      n_beams_(static_cast<std::size_t>(options.n)),
      n_kept_(std::max<std::size_t>(2, 1 + ends.size()) * n_beams_),
      live_(1) {}

bool BeamSearch::is_better(const Candidate& a, const Candidate& b) {
  if (a.sum != b.sum) return a.sum > b.sum;
  return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
}

void BeamSearch::keep(const Candidate& candidate) {
  if (candidates_.size() == n_kept_) {
    if (!is_better(candidate, candidates_.front())) return;
    std::pop_heap(candidates_.begin(), candidates_.end(), is_better);
    candidates_.pop_back();
  }
  candidates_.push_back(candidate);
  std::push_heap(candidates_.begin(), candidates_.end(), is_better);
}

void BeamSearch::offer(std::size_t beam, std::span<const float> logits, double log_sum, const TokenMask* allowed) {
  const double base = live_[beam].sum - log_sum;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double sum = base + static_cast<double>(logits[i]);
    if (candidates_.size() == n_kept_ && sum < candidates_.front().sum) continue;
    if (allowed != nullptr && !allowed->test(static_cast<TokenId>(i))) continue;
    keep({sum, beam, static_cast<TokenId>(i), static_cast<float>(static_cast<double>(logits[i]) - log_sum)});
  }
}

void BeamSearch::offer_forced(std::size_t beam, TokenId token, float logprob) {
  keep({live_[beam].sum, beam, token, logprob});
}

bool BeamSearch::is_end(TokenId token) const {
  return std::find(ends_.begin(), ends_.end(), token) != ends_.end();
}

double BeamSearch::score(double sum, std::int64_t n_tokens) const {
  return sum / std::pow(static_cast<double>(n_tokens), static_cast<double>(options_.length_penalty));
}

void BeamSearch::complete(double sum, int node, bool ended) {
  const Answer answer{score(sum, n_tokens_), node, ended};
  const auto place = std::upper_bound(answers_.begin(), answers_.end(), answer,
                                      [](const Answer& a, const Answer& b) { return a.score > b.score; });
  answers_.insert(place, answer);
  if (answers_.size() > n_beams_) answers_.pop_back();
}

bool BeamSearch::advance() {
  std::sort(candidates_.begin(), candidates_.end(), is_better);
  ++n_tokens_;
  const bool is_last = n_tokens_ == max_tokens_;
  next_.clear();
  for (std::size_t rank = 0; rank < candidates_.size() && next_.size() < n_beams_; ++rank) {
    const Candidate& c = candidates_[rank];
    const bool ended = is_end(c.token);
    const bool completes = ended || is_last;
    // Behind the first n, candidates only serve to keep n beginnings going.
    if (completes && rank >= n_beams_) continue;
    nodes_.push_back({live_[c.beam].node, c.token, c.logprob, static_cast<int>(c.beam)});
    const int node = static_cast<int>(nodes_.size()) - 1;
    if (completes) {
      complete(c.sum, node, ended);
    } else {
      next_.push_back({c.sum, node, static_cast<int>(c.beam), c.token});
    }
  }
  candidates_.clear();
  live_.swap(next_);
  if (live_.empty()) return false;
  if (answers_.size() < n_beams_) return true;
  if (options_.stop == BeamStop::full) return false;
  const bool grows = options_.stop == BeamStop::never && options_.length_penalty > 0;
  return score(live_.front().sum, grows ? max_tokens_ : n_tokens_) > answers_.back().score;
}

void BeamSearch::cut() {
  for (const Live& live : live_) {
    if (live.node >= 0) complete(live.sum, live.node, false);
  }
  live_.clear();
}

std::vector<int> BeamSearch::path(int node) const {
  std::vector<int> path;
  for (; node >= 0; node = nodes_[static_cast<std::size_t>(node)].parent) path.push_back(node);
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace sampling
}  // namespace llm
