#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// "Don't repeat yourself": if the last n tokens occurred before, followed by t, and n >= allowed, then t loses
// multiplier * base^(n - allowed). Matches do not reach over a breaker, a string of bytes in the text of the history.
class Dry final : public Stage {
 public:
  Dry(const SamplingOptions& options, const TokenTable& tokens)
      : multiplier_(static_cast<double>(options.dry_multiplier)),
        base_(static_cast<double>(options.dry_base)),
        allowed_(static_cast<std::size_t>(options.dry_allowed_length)),
        last_n_(options.dry_last_n),
        breakers_(options.dry_breakers),
        tokens_(tokens),
        longest_(static_cast<std::size_t>(tokens.n_vocab())),
        contains_(static_cast<std::size_t>(tokens.n_vocab())) {}

  void apply(Choice& choice) override {
    std::span<const TokenId> window = choice.history;
    if (last_n_ >= 0) window = window.last(std::min(window.size(), static_cast<std::size_t>(last_n_)));
    const std::size_t limit = unbroken_length(window);
    if (window.size() <= allowed_ || limit < allowed_) return;
    match_suffixes(window);
    seen_.clear();
    for (std::size_t i = 0; i + 1 < window.size(); ++i) {
      const std::size_t n = std::min(match_[window.size() - 1 - i], limit);
      const TokenId next = window[i + 1];
      if (n < allowed_ || next < 0 || next >= tokens_.n_vocab() || contains_breaker(next)) continue;
      std::size_t& longest = longest_[static_cast<std::size_t>(next)];
      if (longest == 0) seen_.push_back(next);
      longest = std::max(longest, n);
    }
    std::sort(seen_.begin(), seen_.end());
    choice.candidates.edit(seen_, [&](TokenId id, float logit) {
      const auto excess = static_cast<double>(longest_[static_cast<std::size_t>(id)] - allowed_);
      // exp(88.7) is the largest float.
      const double exponent = std::min(excess * std::log(base_), 88.7);
      const double penalty = std::min(multiplier_ * std::exp(exponent), 1e30);
      return static_cast<float>(static_cast<double>(logit) - penalty);
    });
    for (TokenId id : seen_) longest_[static_cast<std::size_t>(id)] = 0;
  }

 private:
  bool contains_breaker(TokenId id) {
    std::uint8_t& known = contains_[static_cast<std::size_t>(id)];
    if (known == unknown) {
      const std::string_view bytes = tokens_.bytes(id);
      const bool found = std::any_of(breakers_.begin(), breakers_.end(),
                                     [&](const std::string& b) { return bytes.find(b) != std::string_view::npos; });
      known = found ? yes : no;
    }
    return known == yes;
  }

  // How many tokens at the end of the window lie behind the last token in which a breaker ends.
  std::size_t unbroken_length(std::span<const TokenId> window) {
    std::size_t longest_breaker = 0;
    for (const std::string& b : breakers_) longest_breaker = std::max(longest_breaker, b.size());
    text_.clear();  // reversed bytes of the tokens behind and including token i, at most what a breaker can span
    for (std::size_t n = 0; n < window.size(); ++n) {
      const TokenId id = window[window.size() - 1 - n];
      if (id >= 0 && id < tokens_.n_vocab() && contains_breaker(id)) return n;
      if (longest_breaker < 2) continue;
      if (breaker_ends_in(window.first(window.size() - n))) return n;
    }
    return window.size();
  }

  // Whether a breaker that began in earlier tokens ends within the last token.
  bool breaker_ends_in(std::span<const TokenId> head) {
    std::size_t longest = 0;
    for (const std::string& b : breakers_) longest = std::max(longest, b.size());
    const std::string_view last = tokens_.bytes(head.back());
    text_.assign(last);
    for (std::size_t i = head.size() - 1; i-- > 0 && text_.size() < last.size() + longest;) {
      text_.insert(0, tokens_.bytes(head[i]));
    }
    const std::size_t before = text_.size() - last.size();
    for (const std::string& b : breakers_) {
      for (std::size_t at = text_.find(b); at != std::string::npos; at = text_.find(b, at + 1)) {
        if (at + b.size() > before) return true;
      }
    }
    return false;
  }

  // match_[k] = length of the longest common suffix of the window and the window without its last k tokens: the
  // Z algorithm on the reversed window.
  void match_suffixes(std::span<const TokenId> window) {
    const std::size_t n = window.size();
    const auto at = [&](std::size_t i) { return window[n - 1 - i]; };
    match_.assign(n, 0);
    std::size_t left = 0, right = 0;
    for (std::size_t k = 1; k < n; ++k) {
      if (k < right) match_[k] = std::min(right - k, match_[k - left]);
      while (k + match_[k] < n && at(match_[k]) == at(k + match_[k])) ++match_[k];
      if (k + match_[k] > right) {
        left = k;
        right = k + match_[k];
      }
    }
  }

  static constexpr std::uint8_t unknown = 0, no = 1, yes = 2;
  double multiplier_, base_;
  std::size_t allowed_;
  int last_n_;
  std::vector<std::string> breakers_;
  const TokenTable& tokens_;
  std::vector<std::size_t> match_;      // [window]
  std::vector<std::size_t> longest_;    // [n_vocab], zero between calls
  std::vector<std::uint8_t> contains_;  // [n_vocab], whether a breaker lies within the token
  std::vector<TokenId> seen_;
  std::string text_;
};

}  // namespace

std::unique_ptr<Stage> make_dry(const SamplingOptions& options, const TokenTable& tokens) {
  if (options.dry_multiplier <= 0 || options.dry_last_n == 0) return nullptr;
  return std::make_unique<Dry>(options, tokens);
}

}  // namespace llm::sampling
