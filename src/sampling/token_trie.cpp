#include "sampling/token_trie.h"

#include <algorithm>

namespace llm::sampling {

TokenTrie::TokenTrie(const TokenTable& tokens, std::size_t min_bytes, std::size_t max_bytes)
    : next_same_(static_cast<std::size_t>(tokens.n_vocab()), -1) {
  std::vector<TokenId> order;
  for (TokenId id = 0; id < tokens.n_vocab(); ++id) {
    const std::size_t n = tokens.bytes(id).size();
    if (n >= std::max<std::size_t>(min_bytes, 1) && n <= max_bytes) order.push_back(id);
  }
  std::sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
    const int c = tokens.bytes(a).compare(tokens.bytes(b));
    return c != 0 ? c < 0 : a < b;
  });
  std::string_view last;
  std::vector<std::uint32_t> path;  // nodes of `last`
  TokenId last_token = -1;
  for (TokenId id : order) {
    const std::string_view bytes = tokens.bytes(id);
    if (last_token >= 0 && bytes == last) {
      next_same_[static_cast<std::size_t>(last_token)] = id;
      last_token = id;
      continue;
    }
    std::size_t common = 0;
    while (common < last.size() && common < bytes.size() && last[common] == bytes[common]) ++common;
    while (path.size() > common) {
      nodes_[path.back()].skip = static_cast<std::uint32_t>(nodes_.size());
      path.pop_back();
    }
    for (std::size_t i = common; i < bytes.size(); ++i) {
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({-1, 0, static_cast<std::uint16_t>(i), static_cast<std::uint8_t>(bytes[i])});
    }
    nodes_.back().token = id;
    max_depth_ = std::max(max_depth_, bytes.size());
    last = bytes;
    last_token = id;
  }
  for (std::uint32_t node : path) nodes_[node].skip = static_cast<std::uint32_t>(nodes_.size());
}

std::int32_t TokenTrie::longest_prefix(std::string_view bytes) const {
  std::int32_t best = -1;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < nodes_.size() && depth < bytes.size();) {
    const Node& node = nodes_[i];
    if (node.depth < depth) break;
    if (node.byte != static_cast<std::uint8_t>(bytes[depth])) {
      i = node.skip;
      continue;
    }
    if (node.token >= 0) best = node.token;
    ++depth;
    ++i;
  }
  return best;
}

VocabularyIndex::VocabularyIndex(const TokenTable& table)
    : tokens(table), short_tokens(table, 1, max_short_bytes), long_tokens(table, max_short_bytes + 1, max_bytes) {}

}  // namespace llm::sampling
