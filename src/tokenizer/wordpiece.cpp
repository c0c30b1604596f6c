#include "tokenizer/wordpiece.h"

#include <algorithm>

#include "base/utf8.h"

namespace llm::tokenizer {

namespace {

bool is_character_start(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

}  // namespace

void WordPiece::encode(std::string_view word, Scratch&, std::vector<TokenId>& out) const {
  const auto unknown = [&] {
    if (options_.unknown != kNoToken) out.push_back(options_.unknown);
  };
  const auto n_characters = static_cast<std::size_t>(std::count_if(word.begin(), word.end(), is_character_start));
  if (n_characters > options_.max_characters) return unknown();
  const std::size_t before = out.size();
  std::string text;
  for (std::size_t at = 0; at < word.size();) {
    const std::string& prefix = at == 0 ? options_.first_prefix : options_.continuing_prefix;
    // In a spelling that marks first tokens only, a text that starts with the mark is no continuation.
    const bool is_first_only = at > 0 && prefix.empty() && !options_.first_prefix.empty() &&
                               word.substr(at).starts_with(options_.first_prefix);
    text.assign(prefix);
    text.append(word.substr(at, vocabulary_.longest_text_bytes()));
    std::size_t n = text.size() - prefix.size();
    TokenId id = kNoToken;
    while (n > 0 && !is_first_only) {
      const bool whole = at + n == word.size() || is_character_start(word[at + n]);
      if (whole) id = vocabulary_.find_in_model(std::string_view(text).substr(0, prefix.size() + n));
      if (id != kNoToken && vocabulary_.kind(id) == TokenKind::control && !options_.first_prefix.empty()) id = kNoToken;
      if (id != kNoToken) break;
      --n;
    }
    if (id == kNoToken) {
      out.resize(before);
      return unknown();
    }
    out.push_back(id);
    at += n;
  }
}

void WordLevel::encode(std::string_view word, Scratch&, std::vector<TokenId>& out) const {
  const TokenId id = vocabulary_.find_in_model(word);
  if (id != kNoToken || unknown_ != kNoToken) out.push_back(id != kNoToken ? id : unknown_);
}

}  // namespace llm::tokenizer
