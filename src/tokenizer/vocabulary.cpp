#include "tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tokenizer/flat_hash.h"

namespace llm::tokenizer {

void Vocabulary::reserve(std::size_t n_tokens, std::size_t text_bytes) {
  texts_.reserve(text_bytes);
  starts_.reserve(n_tokens + 1);
  kinds_.reserve(n_tokens);
  scores_.reserve(n_tokens);
}

TokenId Vocabulary::add(std::string_view text, TokenKind kind, float score) {
  if (kinds_.size() >= static_cast<std::size_t>(std::numeric_limits<TokenId>::max()) ||
      text.size() > std::numeric_limits<std::uint32_t>::max() - texts_.size()) {
    throw Error(ErrorCode::model, "vocabulary: more than 2^31 tokens or 4 GB of text");
  }
  texts_ += text;
  starts_.push_back(static_cast<std::uint32_t>(texts_.size()));
  kinds_.push_back(kind);
  scores_.push_back(score);
  longest_ = std::max(longest_, text.size());
  return size() - 1;
}

std::uint64_t Vocabulary::hash(std::string_view text) {
  return hash_bytes(text);
}

TokenId Vocabulary::build_index() {
  slots_.assign(table_slots(kinds_.size()), Slot{});
  mask_ = slots_.size() - 1;
  TokenId duplicate = kNoToken;
  constexpr TokenId kBatch = 16;
  std::uint64_t hashes[kBatch];
  for (TokenId first = 0; first < size(); first += kBatch) {
    const TokenId n = std::min(kBatch, size() - first);
    for (TokenId i = 0; i < n; ++i) {
      hashes[i] = hash(text(first + i));
      __builtin_prefetch(&slots_[hashes[i] & mask_], 1);
    }
    for (TokenId i = 0; i < n; ++i) {
      const TokenId id = first + i;
      std::uint64_t slot = hashes[i] & mask_;
      bool equal = false;
      while (slots_[slot].id != kNoToken && !equal) {
        equal = slots_[slot].tag == tag_of(hashes[i]) && text(slots_[slot].id) == text(id);
        if (!equal) slot = (slot + 1) & mask_;
      }
      if (!equal) {
        slots_[slot] = {tag_of(hashes[i]), id};
      } else if (duplicate == kNoToken && !text(id).empty()) {
        duplicate = id;
      }
    }
  }
  return duplicate;
}

TokenId Vocabulary::find_hashed(std::string_view text_wanted, std::uint64_t hash) const {
  for (std::uint64_t slot = hash & mask_; slots_[slot].id != kNoToken; slot = (slot + 1) & mask_) {
    if (slots_[slot].tag == tag_of(hash) && text(slots_[slot].id) == text_wanted) return slots_[slot].id;
  }
  return kNoToken;
}

int byte_token_value(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

std::string byte_token_text(unsigned char byte) {
  return fmt::format("<0x{:02X}>", byte);
}

}  // namespace llm::tokenizer
