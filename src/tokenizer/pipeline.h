#ifndef TOKENIZER_PIPELINE_H
#define TOKENIZER_PIPELINE_H

#include <llm/tokenizer.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/special_matcher.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// A text with the stretches in which the text of control tokens is recognised (ascending, disjoint).
struct InputText {
  std::string_view text;
  std::span<const TextRange> parse;
};

// ids -> bytes, token by token. What a token gives may depend on those before it.
class DecodeState {
 public:
  virtual ~DecodeState() = default;
  virtual void push(TokenId id, std::string& out) = 0;
  virtual void finish(std::string&) {}
};

// All of one tokenizer but its vocabulary: from text to ids and back. Immutable.
class Pipeline {
 public:
  virtual ~Pipeline() = default;
  // Appends the ids of a text; with its start and end tokens if add_special.
  virtual void encode(const InputText& input, bool add_special, std::vector<TokenId>& out) const = 0;
  virtual void encode_pair(const InputText& first, const InputText& second, bool add_special,
                           std::vector<TokenId>& out) const = 0;
  // `special`: control tokens give their text.
  virtual std::unique_ptr<DecodeState> start_decoding(bool special) const = 0;
  // The bytes a token stands for in the middle of a text.
  virtual std::string token_bytes(TokenId id) const = 0;
};

}  // namespace llm::tokenizer

namespace llm {

struct Tokenizer::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  tokenizer::Vocabulary vocabulary;
  SpecialTokens special;
  std::string description;
  std::unique_ptr<const tokenizer::Pipeline> pipeline;  // refers to the vocabulary

  // What a token stands for. The table of all tokens is made when it is first asked for, by one thread.
  std::string_view token_bytes(TokenId id) const;

 private:
  void make_table() const;
  mutable std::once_flag table_made_;
  mutable std::string bytes_;                       // of all tokens, one after the other
  mutable std::vector<std::uint64_t> byte_starts_;  // [n_vocab + 1]
};

}  // namespace llm

#endif
