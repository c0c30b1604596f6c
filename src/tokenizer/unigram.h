#ifndef TOKENIZER_UNIGRAM_H
#define TOKENIZER_UNIGRAM_H

#include <array>

#include "tokenizer/byte_trie.h"
#include "tokenizer/model.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// The segmentation of a text into tokens with the highest sum of scores (log probabilities), found by dynamic
// programming over characters. Neighbouring unknown characters become one token.
class Unigram : public Model {
 public:
  struct Options {
    TokenId unknown = kNoToken;
    bool byte_fallback = false;       // unknown characters become their "<0xXX>" tokens
    bool single_precision = false;    // sums are rounded to float as SentencePiece does
    std::vector<double> scores = {};  // by id, in place of the vocabulary's, which are rounded to float
    bool all_tokens = false;          // control, unknown and byte tokens match in the text too
  };
  Unigram(const Vocabulary& vocabulary, Options options);
  std::unique_ptr<Scratch> make_scratch() const override;
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  struct Work;
  void emit_unknown(std::string_view bytes, std::size_t first, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  Options options_;
  ByteTrie trie_;
  std::vector<double> scores_;               // by id, of tokens in the trie
  std::vector<std::uint16_t> n_characters_;  // by id
  double unknown_score_ = 0;
  std::size_t most_characters_ = 1;
  std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace llm::tokenizer

#endif
