#ifndef TOKENIZER_SENTENCEPIECE_H
#define TOKENIZER_SENTENCEPIECE_H

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/character_map.h"
#include "tokenizer/model.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// What SentencePiece does to a text before any algorithm: replacements, white space, U+2581 for a space.
class SentencePieceNormalizer {
 public:
  struct Options {
    CharacterMap map;
    bool add_dummy_prefix = true;
    bool remove_extra_whitespaces = true;
    bool escape_whitespaces = true;
    bool whitespace_as_suffix = false;
    SpecialMatcher user_defined;  // left alone
  };
  explicit SentencePieceNormalizer(Options options) : options_(std::move(options)) {}
  std::string normalize(std::string_view text) const;

 private:
  struct Step {
    std::string_view text;
    std::size_t length = 0;
  };
  Step next(std::string_view text) const;

  Options options_;
};

enum class SentencePieceKind : std::uint8_t { unigram = 1, bpe = 2, word = 3, character = 4 };

// The algorithm of a SentencePiece vocabulary on normalised text. User-defined pieces are found first (unigram: win by
// their score).
std::unique_ptr<const Model> make_sentencepiece_model(const Vocabulary& vocabulary, SentencePieceKind kind,
                                                      TokenId unknown, bool byte_fallback);

}  // namespace llm::tokenizer

#endif
