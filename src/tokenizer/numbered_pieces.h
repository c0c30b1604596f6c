#ifndef TOKENIZER_NUMBERED_PIECES_H
#define TOKENIZER_NUMBERED_PIECES_H

#include <llm/tokenizer.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// Ids of a model whose texts are cut by a SentencePiece model that numbers its pieces otherwise.
struct PieceNumbering {
  struct Token {
    std::string text;  // empty: no such token
    TokenKind kind = TokenKind::normal;
    bool always = false;  // found in any text, not only where control tokens are recognised
    float score = 0;
  };
  std::vector<Token> tokens;  // by id
  TokenId unknown = kNoToken, eos = kNoToken, pad = kNoToken, bos = kNoToken;
  std::vector<TokenId> before, after;  // around a text
  std::string name;                    // of the scheme, for description()
};

// Texts and kinds of the pieces of a SentencePiece model, in its order.
std::vector<PieceNumbering::Token> read_pieces(std::string_view sentencepiece, const std::string& source);
// Pieces that the numbering does not know are unknown tokens. Throws Error(model).
Tokenizer make_numbered_tokenizer(std::string_view sentencepiece, PieceNumbering numbering, const std::string& source);

// What a folder of an encoder-decoder holds without a tokenizer.json; texts are empty where a file is missing.
struct PieceFiles {
  std::string_view sentencepiece, vocabulary, tokenizer_config, special_tokens, model_config;
};
enum class PieceScheme : std::uint8_t {
  listed,   // vocab.json has the ids (Marian, M2M-100)
  appended  // the pieces' own ids, moved for some models, with further tokens behind (T5, PEGASUS, XLM-R, mBART, NLLB)
};
PieceNumbering read_numbering(const PieceFiles& files, PieceScheme scheme, const std::string& source);

}  // namespace llm::tokenizer

#endif
