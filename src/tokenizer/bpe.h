#ifndef TOKENIZER_BPE_H
#define TOKENIZER_BPE_H

#include <array>
#include <optional>
#include <string>
#include <unordered_map>

#include "tokenizer/merge_table.h"
#include "tokenizer/model.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// Byte pair encoding: a piece starts as single bytes or characters; the adjacent pair of lowest rank, leftmost on ties,
// is joined until no merge applies. SentencePiece's BPE is the same with ranks made from scores.
class Bpe : public Model {
 public:
  enum class Units : std::uint8_t {
    bytes,      // tokens are spelt in stand-ins for bytes
    characters  // tokens are spelt as they are
  };
  struct Options {
    Units units = Units::bytes;
    bool ignore_merges = false;                 // a piece that is a token is taken whole
    bool whole_newlines = false;                // so is a piece of newlines
    bool settle_unknown_first = false;          // characters without a token become bytes, or nothing, before merging
    bool byte_fallback = false;                 // an unknown character becomes its "<0xXX>" tokens
    bool plain_bytes = false;                   // or, for lack of those, the tokens of its single bytes
    TokenId unknown = kNoToken;                 // for what is left; kNoToken: dropped
    bool fuse_unknown = false;                  // neighbouring unknowns are one
    std::string continuing_prefix, end_suffix;  // texts around characters: "##", "</w>"
  };

  Bpe(const Vocabulary& vocabulary, Options options);

  // Merges by their two texts, in the order of their ranks. Texts that are no tokens are kept as inner symbols.
  void reserve_merges(std::size_t n) { merges_.reserve(n); }
  struct MergeText {
    std::string_view left, right;
  };
  // Ranks count on from `first_rank`.
  void add_merges(std::span<const MergeText> merges, std::uint32_t first_rank, MergeTable::OnRepeat on_repeat);
  // Every way of joining two tokens to a third, the highest score first. Control, unknown and byte tokens take no part;
  // the results that are "unused" tokens are taken apart again.
  void add_merges_from_scores();
  // Every way of joining two tokens to a third, the lowest id first (tiktoken's ranks).
  void add_merges_from_ids();

  // Whether every byte has a token, so that any bytes can be encoded (units of bytes).
  bool covers_all_bytes() const;
  // The first text of a merge that is no token, if there is one.
  std::optional<std::string> text_that_is_no_token() const;

  std::unique_ptr<Scratch> make_scratch() const override;
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override;

 private:
  struct Work;
  Symbol intern(std::string_view text);
  Symbol intern_inner(std::string_view text);
  Symbol find_symbol(std::string_view text) const;
  template <typename RankOf>
  void add_all_joins(RankOf&& rank_of, std::size_t n_max);
  bool may_join(TokenId id) const;
  TokenId find_whole(std::string_view piece, Work& work) const;
  void encode_word(std::string_view piece, Work& work, std::vector<TokenId>& out) const;
  void encode_long(std::string_view piece, Work& work, std::vector<TokenId>& out) const;
  void add_unknown(std::string_view text, std::size_t start, std::size_t n_bytes, Work& work) const;
  std::size_t start_symbols(std::string_view piece, std::size_t begin, std::size_t end, Work& work) const;
  void merge_few(Work& work) const;
  void merge_many(Work& work) const;
  bool stays_apart(std::string_view left, std::string_view right, Work& work) const;
  void emit(Symbol symbol, std::string_view bytes, std::size_t first, std::vector<TokenId>& out) const;
  void emit_bytes(std::string_view bytes, std::size_t first, std::vector<TokenId>& out) const;
  void emit_unknown(std::size_t first, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  Options options_;
  MergeTable merges_;
  std::array<Symbol, 256> byte_symbols_{};
  std::array<TokenId, 256> byte_tokens_{};
  std::unordered_map<std::string, Symbol> inner_symbols_;  // texts of merges that are no tokens
  Symbol next_inner_ = 0;
  TokenId last_made_ = 0;  // by the merges added so far
  std::unordered_map<Symbol, std::pair<Symbol, Symbol>> unused_parts_;
};

}  // namespace llm::tokenizer

#endif
