#include "sampling/token_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include <llm/error.hpp>

namespace llm::sampling {

RuleSet::RuleSet(const TokenRules& rules, const TokenTable& tokens, std::int64_t max_tokens, bool ends)
    : rules_(rules), n_vocab_(tokens.n_vocab()), max_tokens_(max_tokens) {
  const auto check = [&](TokenId id) {
    if (id >= 0 && id < n_vocab_) return;
    throw Error(ErrorCode::usage, fmt::format("token rules: token id {}, expected 0 to {}", id, n_vocab_ - 1));
  };
  if (rules_.first) check(*rules_.first);
  if (rules_.last) check(*rules_.last);
  std::for_each(rules_.banned_first.begin(), rules_.banned_first.end(), check);
  for (const std::vector<TokenId>& run : rules_.banned) std::for_each(run.begin(), run.end(), check);
  std::erase_if(rules_.banned, [](const auto& run) { return run.empty(); });
  if (rules_.min_tokens < 0 || rules_.no_repeat_ngram < 0) {
    throw Error(ErrorCode::usage, fmt::format("token rules: min tokens {}, no repeated run of {}: expected 0 or more",
                                              rules_.min_tokens, rules_.no_repeat_ngram));
  }
  if (ends) ends_.assign(tokens.end_of_generation().begin(), tokens.end_of_generation().end());
  if (!ends) rules_.last.reset();
  active_ = rules_.first || rules_.last || !rules_.banned.empty() || !rules_.banned_first.empty() ||
            rules_.min_tokens > 0 || rules_.no_repeat_ngram > 0;
}

std::optional<TokenId> RuleSet::forced(std::int64_t n_generated) const {
  if (rules_.last && max_tokens_ >= 0 && n_generated == max_tokens_ - 1) return rules_.last;
  if (rules_.first && n_generated == 0) return rules_.first;
  return std::nullopt;
}

void RuleSet::ban(TokenId id) {
  mask_.word_at(static_cast<std::size_t>(id) / 64) &= ~(std::uint64_t{1} << (id % 64));
  has_banned_ = true;
}

const TokenMask* RuleSet::allowed(std::span<const TokenId> history, std::int64_t n_generated, const TokenMask* base) {
  if (mask_.n_words() == 0) mask_ = TokenMask(n_vocab_);
  for (std::size_t i = 0; i < mask_.n_words(); ++i)
    mask_.word_at(i) = base != nullptr ? base->word(i) : ~std::uint64_t{0};
  has_banned_ = false;
  for (const std::vector<TokenId>& run : rules_.banned) {
    const std::size_t n_before = run.size() - 1;
    if (n_before > history.size()) continue;
    if (std::equal(run.begin(), run.end() - 1, history.end() - static_cast<std::ptrdiff_t>(n_before))) ban(run.back());
  }
  if (n_generated == 0)
    std::for_each(rules_.banned_first.begin(), rules_.banned_first.end(), [&](TokenId id) { ban(id); });
  if (n_generated < rules_.min_tokens) std::for_each(ends_.begin(), ends_.end(), [&](TokenId id) { ban(id); });
  const auto n = static_cast<std::size_t>(rules_.no_repeat_ngram);
  if (n > 0 && history.size() + 1 >= n) {
    const std::span<const TokenId> tail = history.last(n - 1);
    for (std::size_t i = 0; i + n <= history.size(); ++i) {
      if (std::equal(tail.begin(), tail.end(), history.begin() + static_cast<std::ptrdiff_t>(i)))
        ban(history[i + n - 1]);
    }
  }
  if (!has_banned_) return base;
  // Bits behind the vocabulary are set.
  const std::size_t last = mask_.n_words() - 1;
  const int n_in_last = n_vocab_ - static_cast<std::int32_t>(last) * 64;
  const std::uint64_t valid = n_in_last >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n_in_last) - 1;
  bool has_any = (mask_.word(last) & valid) != 0;
  for (std::size_t i = 0; i < last && !has_any; ++i) has_any = mask_.word(i) != 0;
  return has_any ? &mask_ : base;
}

}  // namespace llm::sampling
