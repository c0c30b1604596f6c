#ifndef LLM_TOKENIZER_HPP
#define LLM_TOKENIZER_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <llm/error.hpp>
#include <llm/export.hpp>

namespace llm {
inline namespace v1 {

using TokenId = std::int32_t;

enum class TokenKind : std::uint8_t {
  undefined = 0,
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

struct EncodeOptions {
  bool add_special = false;    ///< add start and end tokens as the vocabulary says
  bool parse_special = false;  ///< recognise the text of control tokens; off: it is plain text
};

/// A part of a text for Tokenizer::encode_pieces.
struct TextPiece {
  std::string_view text;
  bool parse_special = false;
};

/// Ids of tokens with a role; empty where the vocabulary has none.
struct SpecialTokens {
  std::optional<TokenId> bos, eos, unk, sep, pad, mask, cls, eot, eom;
  std::optional<TokenId> fim_prefix, fim_suffix, fim_middle, fim_pad, fim_repo, fim_separator;
  std::vector<TokenId> end_of_generation;  ///< ascending; sampling one of these ends the answer
  bool add_bos = false, add_eos = false, add_sep = false;
};

class IncrementalDecoder;

/// Text <-> ids. Immutable after construction: all functions may be called from several threads at once.
class LLM_API Tokenizer {
 public:
  /// Opens a GGUF file, a Hugging Face folder, a tokenizer.json, a SentencePiece *.model, a *.tiktoken rank file or a
  /// llama2.c tokenizer.bin, told apart by content. Throws Error(io) or Error(model).
  static Tokenizer open(const std::string& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of `text`. Any bytes are accepted. Time and memory are linear (times a logarithm) in the text.
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  /// Ids of several pieces that follow each other as one text; each says for itself whether control tokens are
  /// recognised in it. Words may span pieces, so the ids of plain pieces equal those of the joined text.
  std::vector<TokenId> encode_pieces(std::span<const TextPiece> pieces, bool add_special) const;
  /// Two sequences joined as the vocabulary's post-processor says (BERT: [CLS] a [SEP] b [SEP]).
  std::vector<TokenId> encode_pair(std::string_view first, std::string_view second, EncodeOptions options = {}) const;

  /// Bytes of `ids`; control tokens give their text only if `special`. Ids out of range: Error(usage).
  std::string decode(std::span<const TokenId> ids, bool special = false) const;

  /// The bytes one token stands for in the middle of a text (no leading-space rule applied).
  std::string_view token_bytes(TokenId id) const;
  /// The token as the vocabulary spells it.
  std::string_view token_text(TokenId id) const;
  TokenKind token_kind(TokenId id) const;
  std::optional<TokenId> find(std::string_view token_text) const;

  std::int32_t n_vocab() const;
  const SpecialTokens& special() const;
  bool is_end_of_generation(TokenId id) const;
  /// Kind and pre-tokenizer in words, e.g. "BPE (llama-bpe)".
  std::string description() const;

  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  const Impl& impl() const { return *impl_; }

 private:
  friend class IncrementalDecoder;
  std::unique_ptr<Impl> impl_;
};

/// Turns ids into text as they come; gives out whole UTF-8 characters only. Pieces joined equal Tokenizer::decode.
/// Refers to the tokenizer, which must outlive it. One thread at a time.
class LLM_API IncrementalDecoder {
 public:
  explicit IncrementalDecoder(const Tokenizer& tokenizer, bool special = false);
  IncrementalDecoder(IncrementalDecoder&&) noexcept;
  ~IncrementalDecoder();

  /// Bytes that became certain with this id; valid until the next call.
  std::string_view push(TokenId id);
  /// What is still held back, e.g. an unfinished character.
  std::string_view finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace llm

#endif
