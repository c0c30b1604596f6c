#ifndef TOKENIZER_PLAMO2_H
#define TOKENIZER_PLAMO2_H

#include <array>

#include "tokenizer/byte_trie.h"
#include "tokenizer/model.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// PLaMo-2: the segmentation with the best sum of integer scores, found from the end of the text; characters without a
// token become byte tokens. A byte order mark at the start of a text is dropped.
class Plamo2 : public Model {
 public:
  // Throws Error(model) starting with `source` if a byte has no token.
  Plamo2(const Vocabulary& vocabulary, std::string_view source);
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  const Vocabulary& vocabulary_;
  ByteTrie trie_;
  std::vector<std::int32_t> scores_;         // by id: score times 1e4
  std::vector<std::uint32_t> n_characters_;  // by id
  std::size_t most_characters_ = 1;
  std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace llm::tokenizer

#endif
