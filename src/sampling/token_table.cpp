#include "sampling/token_table.h"

#include <algorithm>

namespace llm::sampling {

TokenTable::TokenTable(std::int32_t n_vocab, const std::function<std::string_view(TokenId)>& bytes,
                       std::span<const TokenId> end_of_generation)
    : end_of_generation_(end_of_generation.begin(), end_of_generation.end()) {
  std::sort(end_of_generation_.begin(), end_of_generation_.end());
  offsets_.reserve(static_cast<std::size_t>(n_vocab) + 1);
  offsets_.push_back(0);
  for (TokenId id = 0; id < n_vocab; ++id) {
    if (!is_end_of_generation(id)) text_ += bytes(id);
    offsets_.push_back(text_.size());
  }
}

std::string_view TokenTable::bytes(TokenId id) const {
  if (id < 0 || id >= n_vocab()) return {};
  const std::uint64_t begin = offsets_[static_cast<std::size_t>(id)];
  return std::string_view(text_).substr(begin, offsets_[static_cast<std::size_t>(id) + 1] - begin);
}

bool TokenTable::is_end_of_generation(TokenId id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

}  // namespace llm::sampling
