#ifndef TOKENIZER_WORDPIECE_H
#define TOKENIZER_WORDPIECE_H

#include <string>

#include "tokenizer/model.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// BERT's algorithm: a word is cut into the longest tokens from the left; a word that cannot be, or that is too long, is
// one unknown token.
class WordPiece : public Model {
 public:
  struct Options {
    TokenId unknown = kNoToken;
    std::string first_prefix;              // before the text of a word's first token: "" or U+2581
    std::string continuing_prefix = "##";  // before that of the others
    std::size_t max_characters = 100;
  };
  WordPiece(const Vocabulary& vocabulary, Options options) : vocabulary_(vocabulary), options_(std::move(options)) {}
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  const Vocabulary& vocabulary_;
  Options options_;
};

// Words that are tokens; others are the unknown token.
class WordLevel : public Model {
 public:
  WordLevel(const Vocabulary& vocabulary, TokenId unknown) : vocabulary_(vocabulary), unknown_(unknown) {}
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  const Vocabulary& vocabulary_;
  TokenId unknown_;
};

}  // namespace llm::tokenizer

#endif
