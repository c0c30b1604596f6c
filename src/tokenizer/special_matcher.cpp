#include "tokenizer/special_matcher.h"

namespace llm::tokenizer {

std::int32_t SpecialMatcher::child(std::int32_t node, unsigned char byte) const {
  if (node == 0) return roots_[byte];
  std::int32_t at = nodes_[static_cast<std::size_t>(node)].first_child;
  while (at >= 0 && nodes_[static_cast<std::size_t>(at)].byte != byte) {
    at = nodes_[static_cast<std::size_t>(at)].next_sibling;
  }
  return at;
}

void SpecialMatcher::add(std::string_view text, TokenId id, bool always) {
  if (text.empty()) return;
  std::int32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    std::int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<std::int32_t>(nodes_.size());
      nodes_.push_back({-1, false, -1, nodes_[static_cast<std::size_t>(node)].first_child, byte});
      nodes_[static_cast<std::size_t>(node)].first_child = next;
      if (node == 0) roots_[byte] = next;
    }
    node = next;
  }
  Node& last = nodes_[static_cast<std::size_t>(node)];
  if (last.id >= 0) return;
  last.id = id;
  last.always = always;
  has_always_ |= always;
}

SpecialMatcher::Match SpecialMatcher::longest_at(std::string_view text, std::size_t at) const {
  Match best;
  std::int32_t node = 0;
  for (std::size_t end = at; end < text.size();) {
    node = child(node, static_cast<unsigned char>(text[end]));
    if (node < 0) break;
    ++end;
    if (nodes_[static_cast<std::size_t>(node)].id >= 0) best = {at, end, nodes_[static_cast<std::size_t>(node)].id};
  }
  return best;
}

SpecialMatcher::Match SpecialMatcher::find(std::string_view text, std::size_t from,
                                           std::span<const TextRange> parse) const {
  std::size_t range = 0;
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    std::int32_t node = roots_[static_cast<unsigned char>(text[begin])];
    if (node < 0) continue;
    while (range < parse.size() && parse[range].end <= begin) ++range;
    const std::size_t parse_end = range < parse.size() && parse[range].begin <= begin ? parse[range].end : 0;
    Match best;
    for (std::size_t end = begin + 1; node >= 0; ++end) {
      const Node& at = nodes_[static_cast<std::size_t>(node)];
      if (at.id >= 0 && (at.always || end <= parse_end)) best = {begin, end, at.id};
      if (end == text.size()) break;
      node = child(node, static_cast<unsigned char>(text[end]));
    }
    if (best.id >= 0) return best;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace llm::tokenizer
