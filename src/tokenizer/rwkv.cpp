#include "tokenizer/rwkv.h"

namespace llm::tokenizer {

namespace {

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

}  // namespace

std::string unquote_rwkv(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const char c = text[++at];
    if (c == 't' || c == 'n' || c == 'r') {
      out += c == 't' ? '\t' : c == 'n' ? '\n' : '\r';
    } else if (c == 'x' && at + 2 < text.size() && hex_digit(text[at + 1]) >= 0 && hex_digit(text[at + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[at + 1]) * 16 + hex_digit(text[at + 2]));
      at += 2;
    } else {
      out += c;
    }
  }
  return out;
}

Rwkv::Rwkv(const Vocabulary& vocabulary, TokenId unknown) : unknown_(unknown) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) tokens_.add(unquote_rwkv(vocabulary.text(id)), id, true);
}

void Rwkv::encode(std::string_view piece, Scratch&, std::vector<TokenId>& out) const {
  for (std::size_t at = 0; at < piece.size();) {
    const SpecialMatcher::Match match = tokens_.longest_at(piece, at);
    if (match.id != kNoToken) {
      out.push_back(match.id);
      at = match.end;
    } else {
      if (unknown_ != kNoToken) out.push_back(unknown_);
      ++at;
    }
  }
}

}  // namespace llm::tokenizer
