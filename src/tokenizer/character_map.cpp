#include "tokenizer/character_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <llm/error.hpp>

namespace llm::tokenizer {

namespace {

// Fields of a darts-clone unit.
bool has_leaf(std::uint32_t unit) {
  return ((unit >> 8) & 1) != 0;
}
std::uint32_t value_of(std::uint32_t unit) {
  return unit & 0x7FFFFFFFU;
}
std::uint32_t label_of(std::uint32_t unit) {
  return unit & 0x800000FFU;
}
std::uint32_t offset_of(std::uint32_t unit) {
  return (unit >> 10) << ((unit & 0x200U) >> 6);
}

}  // namespace

CharacterMap::CharacterMap(std::string_view blob, std::string_view source) {
  if (blob.empty()) return;
  std::uint32_t trie_bytes = 0;
  if (blob.size() >= sizeof trie_bytes) std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);
  if (blob.size() < sizeof trie_bytes || trie_bytes > blob.size() - sizeof trie_bytes || trie_bytes % 4 != 0) {
    throw Error(ErrorCode::model,
                fmt::format("{}: character map of {} bytes gives its trie {} bytes", source, blob.size(), trie_bytes));
  }
  units_.resize(trie_bytes / 4);
  if (trie_bytes > 0) std::memcpy(units_.data(), blob.data() + sizeof trie_bytes, trie_bytes);
  replacements_ = blob.substr(sizeof trie_bytes + trie_bytes);
}

std::optional<CharacterMap::Match> CharacterMap::find(std::string_view text) const {
  return find(text, false);
}

std::optional<std::string_view> CharacterMap::find_shortest(std::string_view text) const {
  const auto match = find(text, true);
  return match ? std::optional(match->replacement) : std::nullopt;
}

std::optional<CharacterMap::Match> CharacterMap::find(std::string_view text, bool shortest) const {
  if (units_.empty()) return std::nullopt;
  std::optional<Match> longest;
  std::size_t node = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) break;
    const std::size_t start = value_of(units_[node]);
    if (start > replacements_.size()) break;
    const std::size_t end = std::min(replacements_.find('\0', start), replacements_.size());
    longest = {std::string_view(replacements_).substr(start, end - start), i + 1};
    if (shortest) break;
  }
  return longest;
}

}  // namespace llm::tokenizer
