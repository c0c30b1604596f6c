#ifndef TOKENIZER_PIECE_PIPELINE_H
#define TOKENIZER_PIECE_PIPELINE_H

#include <functional>
#include <string>

#include "tokenizer/model.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/splitter.h"

namespace llm::tokenizer {

// How the pieces of a vocabulary are spelt.
enum class Spelling : std::uint8_t {
  stand_ins,  // printable stand-ins for bytes
  escaped,    // U+2581 for a space, "<0xXX>" for a byte
  quoted,     // RWKV: \n, \t, \r, \xHH, \\ and quotes
};

// Tokenizers whose control and user-defined tokens are cut out of the text first, each part between them being
// normalised, split and encoded by itself: GGUF vocabularies, SentencePiece and tiktoken files.
class PiecePipeline : public Pipeline {
 public:
  // Prepares the text of one part; `starts` is true for the first part and after a special token (only_text_starts: at
  // the very start of the text alone).
  using Normalizer = std::function<std::string(std::string_view part, bool starts)>;

  struct Options {
    Normalizer normalizer;  // empty: as it is
    SplitterChain splitter;
    std::unique_ptr<const Model> model;
    SpecialMatcher specials;                      // cut out of the text
    std::vector<bool> strip_before, strip_after;  // [n_vocab] or empty: ASCII white space around the token is dropped
    bool only_text_starts = false;
    std::vector<TokenId> before, after;  // added around a text
    std::vector<TokenId> between;        // of two texts
    Spelling spelling = Spelling::stand_ins;
    bool drop_first_space = false;       // when decoding
    bool drop_all_first_spaces = false;  // of all tokens before the first other text
    std::string unknown_text;            // what the unknown token gives, always; empty: it is hidden
    bool respell_user_defined = false;   // user-defined tokens are spelt like normal ones
    std::string_view drop_at_end;        // of token texts: a mark that stands for nothing
    TokenId fuse = kNoToken;             // neighbouring tokens of this id become one
  };

  PiecePipeline(const Vocabulary& vocabulary, Options options);

  void encode(const InputText& input, bool add_special, std::vector<TokenId>& out) const override;
  void encode_pair(const InputText& first, const InputText& second, bool add_special,
                   std::vector<TokenId>& out) const override;
  std::unique_ptr<DecodeState> start_decoding(bool special) const override;
  std::string token_bytes(TokenId id) const override;
  const Options& options() const { return options_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  void encode_text(const InputText& input, std::vector<TokenId>& out) const;
  void encode_part(std::string_view part, bool starts, Scratch& scratch, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  Options options_;
  mutable ScratchPool scratch_;
};

// Space -> U+2581, with one more in front if `prefix`.
std::string escape_spaces(std::string_view text, bool prefix);

}  // namespace llm::tokenizer

#endif
