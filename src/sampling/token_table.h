#ifndef SAMPLING_TOKEN_TABLE_H
#define SAMPLING_TOKEN_TABLE_H

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <llm/tokenizer.hpp>

namespace llm::sampling {

// What the samplers and constraints need to know of a vocabulary: the bytes of every token, and which tokens end an
// answer. Shared by all sequences of a model; any thread may ask at any time.
class TokenTable {
 public:
  // `bytes(id)` gives what a token adds to the text, empty for control tokens: those never satisfy a constraint. It is
  // called for all tokens when the first one's bytes are asked for; until then what it refers to must live.
  // `end_of_generation` ids have no bytes whatever `bytes` says.
  TokenTable(std::int32_t n_vocab, std::function<std::string_view(TokenId)> bytes,
             std::span<const TokenId> end_of_generation);

  std::int32_t n_vocab() const { return n_vocab_; }
  // Empty for ids outside the vocabulary.
  std::string_view bytes(TokenId id) const;
  std::span<const TokenId> end_of_generation() const { return end_of_generation_; }
  bool is_end_of_generation(TokenId id) const;

 private:
  void collect() const;

  std::int32_t n_vocab_;
  std::vector<TokenId> end_of_generation_;
  mutable std::once_flag collected_;
  mutable std::function<std::string_view(TokenId)> bytes_of_;
  mutable std::string text_;                    // all tokens' bytes, one after another
  mutable std::vector<std::uint64_t> offsets_;  // [n_vocab + 1] into text_
};

}  // namespace llm::sampling

#endif
