#include "api/lookup.h"

#include <algorithm>

namespace llm::api {
namespace {

std::uint64_t hash(std::span<const TokenId> run) {
  std::uint64_t h = run.size();
  for (const TokenId id : run) {
    h = (h ^ static_cast<std::uint32_t>(id)) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
  }
  return h;
}

}  // namespace

void Lookup::extend(std::span<const TokenId> ids) {
  // A run counts once the token after it is known.
  for (; n_seen_ < ids.size(); ++n_seen_) {
    for (int s = 0; s < n_sizes; ++s) {
      if (n_seen_ >= sizes[s]) after_[s][hash(ids.subspan(n_seen_ - sizes[s], sizes[s]))] = n_seen_;
    }
  }
}

void Lookup::guess(std::span<const TokenId> ids, std::int64_t n, std::vector<TokenId>& out) {
  extend(ids);
  n = std::min(n, length_.next());
  for (int s = 0; s < n_sizes && n > 0; ++s) {
    if (ids.size() < sizes[s]) continue;
    const std::span<const TokenId> run = ids.last(sizes[s]);
    const auto found = after_[s].find(hash(run));
    if (found == after_[s].end()) continue;
    const std::size_t begin = found->second;
    if (!std::equal(run.begin(), run.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin - sizes[s]))) continue;
    const std::size_t count = std::min(static_cast<std::size_t>(n), ids.size() - begin);
    out.insert(out.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
               ids.begin() + static_cast<std::ptrdiff_t>(begin + count));
    return;
  }
}

}  // namespace llm::api
