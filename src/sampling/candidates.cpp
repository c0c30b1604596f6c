#include "sampling/candidates.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include <llm/error.hpp>

#include "sampling/passes.h"

namespace llm::sampling {
namespace {

constexpr float absent = -std::numeric_limits<float>::infinity();

double weight_of(float logit, float max) {
  return std::exp(static_cast<double>(logit) - static_cast<double>(max));
}

}  // namespace

Candidates::Candidates(std::int32_t n_vocab)
    : block_max_((static_cast<std::size_t>(n_vocab) + block_size - 1) / block_size), scratch_(block_max_.size()) {
  list_.reserve(1024);
}

void Candidates::reset(std::span<float> logits, const TokenMask* allowed, std::int64_t position) {
  logits_ = logits;
  floor_ = absent;
  temperature_ = 1;
  listed_ = sorted_ = false;
  list_.clear();
  if (logits.empty() || (logits.size() + block_size - 1) / block_size != block_max_.size()) {
    throw Error(ErrorCode::internal,
                fmt::format("step {}: {} logits do not fit the vocabulary", position, logits.size()));
  }
  if (!scan_blocks(logits, block_max_)) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (std::isfinite(logits[i])) continue;
      throw Error(ErrorCode::internal,
                  fmt::format("step {}: logit of token {} is {}, expected a finite number", position, i, logits[i]));
    }
  }
  if (allowed == nullptr) return;
  for (std::size_t b = 0; b < block_max_.size(); ++b) {
    const std::uint64_t word = allowed->word(b);
    if (word == ~std::uint64_t{0}) continue;
    if (word == 0) {
      block_max_[b] = absent;
      continue;
    }
    const std::span<float> block = logits.subspan(b * block_size, std::min(block_size, logits.size() - b * block_size));
    for (std::size_t i = 0; i < block.size(); ++i) {
      if ((word >> i & 1) == 0) block[i] = absent;
    }
    block_max_[b] = max_of_block(block);
  }
  if (max_of_block(block_max_) == absent) {
    throw Error(ErrorCode::internal, fmt::format("step {}: the constraint allows no token", position));
  }
}

float Candidates::max_logit() {
  if (listed_) return sorted().front().logit;
  return max_of_block(block_max_) / temperature_;
}

std::int64_t Candidates::size() {
  if (listed_) return static_cast<std::int64_t>(sorted().size());
  return shape().n;
}

void Candidates::set_raw(TokenId id, float logit) {
  const auto i = static_cast<std::size_t>(id);
  const std::size_t b = i / block_size;
  logits_[i] = logit;
  block_max_[b] = max_of_block(logits_.subspan(b * block_size, std::min(block_size, logits_.size() - b * block_size)));
}

void Candidates::list_above(float raw_logit) {
  const float threshold = std::max({raw_logit, floor_, std::numeric_limits<float>::lowest()});
  list_.clear();
  for (std::size_t b = 0; b < block_max_.size(); ++b) {
    if (!(block_max_[b] >= threshold)) continue;
    const std::size_t end = std::min((b + 1) * block_size, logits_.size());
    for (std::size_t i = b * block_size; i < end; ++i) {
      if (logits_[i] >= threshold) list_.push_back({logits_[i], static_cast<TokenId>(i)});
    }
  }
  if (temperature_ != 1) {
    for (Candidate& c : list_) c.logit /= temperature_;
  }
  sorted_ = false;
}

void Candidates::list_all() {
  if (listed_) return;
  list_above(absent);
  listed_ = true;
  temperature_ = 1;
}

void Candidates::sort() {
  if (sorted_) return;
  std::sort(list_.begin(), list_.end(), before);
  std::size_t n = list_.size();
  while (n > 1 && list_[n - 1].logit == absent) --n;
  list_.resize(n);
  sorted_ = true;
}

std::span<Candidate> Candidates::sorted() {
  list_all();
  sort();
  return list_;
}

std::span<const Candidate> Candidates::peek(std::size_t k) {
  k = std::max<std::size_t>(k, 1);
  if (!listed_) {
    // The k-th largest block maximum has k logits at or above it.
    float threshold = absent;
    if (k < block_max_.size()) {
      std::copy(block_max_.begin(), block_max_.end(), scratch_.begin());
      const auto nth = scratch_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
      std::nth_element(scratch_.begin(), nth, scratch_.end(), std::greater<>());
      threshold = *nth;
    }
    list_above(threshold);
    if (list_.size() > k) {
      std::nth_element(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(k), list_.end(), before);
      list_.resize(k);
    }
  }
  sort();
  return std::span<const Candidate>(list_).first(std::min(k, list_.size()));
}

void Candidates::keep_best(std::int64_t k) {
  k = std::max<std::int64_t>(k, 1);
  if (k >= static_cast<std::int64_t>(logits_.size())) return;
  const std::size_t n = peek(static_cast<std::size_t>(k)).size();
  if (!listed_) {
    listed_ = true;
    temperature_ = 1;
  }
  list_.resize(n);
}

void Candidates::keep_above(float logit) {
  if (!listed_) {
    const float max = max_of_block(block_max_);
    floor_ = std::min(std::max(floor_, logit * temperature_), max);
    return;
  }
  std::size_t n = sorted().size();
  while (n > 1 && list_[n - 1].logit < logit) --n;
  list_.resize(n);
}

std::size_t Candidates::list_weight(double weight) {
  const float max = max_of_block(block_max_);
  // Half the logits of a trained model lie within about ten of the best; start close and go down.
  for (float depth = 4;; depth *= 2) {
    const float threshold = max - depth * temperature_;
    const bool all = depth > 200 || threshold <= floor_;
    list_above(all ? absent : threshold);
    double sum = 0;
    for (const Candidate& c : list_) sum += weight_of(c.logit, max / temperature_);
    if (sum < weight && !all) continue;
    sort();
    sum = 0;
    for (std::size_t i = 0; i < list_.size(); ++i) {
      sum += weight_of(list_[i].logit, max / temperature_);
      if (sum >= weight) return i + 1;
    }
    if (all) return list_.size();
  }
}

void Candidates::keep_mass(double share) {
  if (!listed_) {
    const std::size_t n = list_weight(shape().weight * share);
    listed_ = true;
    temperature_ = 1;
    list_.resize(std::max<std::size_t>(n, 1));
    return;
  }
  const double goal = shape().weight * share;
  double sum = 0;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    sum += weight_of(list_[i].logit, list_.front().logit);
    if (sum >= goal) {
      list_.resize(i + 1);
      return;
    }
  }
}

void Candidates::keep_first(std::size_t n) {
  list_.resize(std::clamp<std::size_t>(n, 1, list_.size()));
  sorted_ = false;
  sort();
}

void Candidates::drop_best(std::size_t n) {
  if (n == 0) return;
  if (!listed_) {
    // Dropping a logit of the row keeps the rest as it is.
    for (const Candidate& c : peek(n)) set_raw(c.id, absent);
    return;
  }
  sort();
  list_.erase(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(std::min(n, list_.size() - 1)));
}

void Candidates::divide(float temperature) {
  if (!listed_) {
    temperature_ *= temperature;
    return;
  }
  for (Candidate& c : sorted()) c.logit /= temperature;
}

Candidates::Shape Candidates::shape() {
  SoftmaxSums sums;
  if (!listed_) {
    sums = softmax_sums(logits_, block_max_, floor_, max_of_block(block_max_), 1 / temperature_);
  } else {
    const float max = sorted().front().logit;
    for (const Candidate& c : list_) {
      const double w = weight_of(c.logit, max);
      sums.weight += w;
      if (w > 0) sums.weighted += w * (static_cast<double>(c.logit) - static_cast<double>(max));
    }
    sums.n = static_cast<std::int64_t>(list_.size());
  }
  return {sums.weight, std::log(sums.weight) - sums.weighted / sums.weight, sums.n};
}

double Candidates::deviation() {
  if (!listed_) {
    const Spread s = spread(logits_, block_max_, floor_, max_of_block(block_max_));
    return std::sqrt(s.variance) / static_cast<double>(temperature_);
  }
  sort();
  double mean = 0, squares = 0;
  for (const Candidate& c : list_) mean += static_cast<double>(c.logit);
  mean /= static_cast<double>(list_.size());
  for (const Candidate& c : list_) squares += std::pow(static_cast<double>(c.logit) - mean, 2);
  return std::sqrt(squares / static_cast<double>(list_.size()));
}

Candidate Candidates::draw(double u) {
  const double goal = std::max(u * shape().weight, std::numeric_limits<double>::min());
  if (!listed_) return list_[std::max<std::size_t>(list_weight(goal), 1) - 1];
  double sum = 0;
  for (const Candidate& c : list_) {
    sum += weight_of(c.logit, list_.front().logit);
    if (sum >= goal) return c;
  }
  return list_.back();
}

Candidate Candidates::best() {
  if (listed_) return sorted().front();
  const auto b = static_cast<std::size_t>(std::max_element(block_max_.begin(), block_max_.end()) - block_max_.begin());
  const std::span<const float> block =
      logits_.subspan(b * block_size, std::min(block_size, logits_.size() - b * block_size));
  const auto i = static_cast<std::size_t>(std::find(block.begin(), block.end(), block_max_[b]) - block.begin());
  return {block_max_[b] / temperature_, static_cast<TokenId>(b * block_size + i)};
}

}  // namespace llm::sampling
