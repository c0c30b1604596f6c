#include "tokenizer/join_splitter.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/flat_hash.h"

namespace llm::tokenizer {

namespace {

// Calls f(end of the left character, hash) for every pair of neighbouring characters.
template <typename Function>
void for_each_pair(std::string_view text, Function&& f) {
  std::uint32_t left = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = std::min(unit_length(text[at]), text.size() - at);
    std::uint32_t right = 0;
    std::memcpy(&right, text.data() + at, n);
    if (at > 0) f(at, hash_pair(left, right));
    left = right;
    at += n;
  }
}

}  // namespace

JoinSplitter::JoinSplitter(const Vocabulary& vocabulary) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    for_each_pair(vocabulary.text(id), [this](std::size_t, std::uint64_t hash) {
      joins_[(hash % kBits) / 64] |= std::uint64_t{1} << (hash % 64);
    });
  }
}

void JoinSplitter::split(std::string_view text, PieceSink& out) const {
  std::size_t start = 0;
  for_each_pair(text, [&](std::size_t at, std::uint64_t hash) {
    if ((joins_[(hash % kBits) / 64] >> (hash % 64)) & 1) return;
    out.piece(text.substr(start, at - start));
    start = at;
  });
  if (start < text.size()) out.piece(text.substr(start));
}

}  // namespace llm::tokenizer
