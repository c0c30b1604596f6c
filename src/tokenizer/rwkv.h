#ifndef TOKENIZER_RWKV_H
#define TOKENIZER_RWKV_H

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// The bytes that the text of an RWKV token stands for: \n, \t, \r, \xHH and \\ are escapes.
std::string unquote_rwkv(std::string_view text);

// RWKV's world tokenizer: the longest token that matches, from left to right.
class Rwkv : public Model {
 public:
  // `unknown` stands for a byte that no token starts with; kNoToken: such bytes are dropped.
  Rwkv(const Vocabulary& vocabulary, TokenId unknown);
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  SpecialMatcher tokens_;
  TokenId unknown_;
};

}  // namespace llm::tokenizer

#endif
