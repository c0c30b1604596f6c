#include "sampling/token_table.h"

#include <algorithm>
#include <utility>

namespace llm::sampling {

TokenTable::TokenTable(std::int32_t n_vocab, std::function<std::string_view(TokenId)> bytes,
                       std::span<const TokenId> end_of_generation)
    : n_vocab_(n_vocab),
      end_of_generation_(end_of_generation.begin(), end_of_generation.end()),
      bytes_of_(std::move(bytes)) {
  std::sort(end_of_generation_.begin(), end_of_generation_.end());
}

void TokenTable::collect() const {
  std::string text;
  std::vector<std::uint64_t> offsets = {0};
  offsets.reserve(static_cast<std::size_t>(n_vocab_) + 1);
  for (TokenId id = 0; id < n_vocab_; ++id) {
    if (!is_end_of_generation(id)) text += bytes_of_(id);
    offsets.push_back(text.size());
  }
  text_ = std::move(text);
  offsets_ = std::move(offsets);
  bytes_of_ = nullptr;
}

std::string_view TokenTable::bytes(TokenId id) const {
  if (id < 0 || id >= n_vocab_) return {};
  std::call_once(collected_, [this] { collect(); });
  const std::uint64_t begin = offsets_[static_cast<std::size_t>(id)];
  return std::string_view(text_).substr(begin, offsets_[static_cast<std::size_t>(id) + 1] - begin);
}

bool TokenTable::is_end_of_generation(TokenId id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

}  // namespace llm::sampling
