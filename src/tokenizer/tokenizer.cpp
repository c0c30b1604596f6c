#include <fmt/format.h>

#include <algorithm>
#include <llm/tokenizer.hpp>

#include "base/utf8.h"
#include "tokenizer/pipeline.h"

namespace llm {

using tokenizer::InputText;
using tokenizer::TextRange;

void Tokenizer::Impl::make_table() const {
  const std::int32_t n = vocabulary.size();
  bytes_.reserve(vocabulary.text_bytes());
  byte_starts_.reserve(static_cast<std::size_t>(n) + 1);
  byte_starts_.push_back(0);
  for (TokenId id = 0; id < n; ++id) {
    bytes_ += pipeline->token_bytes(id);
    byte_starts_.push_back(bytes_.size());
  }
}

std::string_view Tokenizer::Impl::token_bytes(TokenId id) const {
  std::call_once(table_made_, [this] { make_table(); });
  const std::uint64_t begin = byte_starts_[static_cast<std::size_t>(id)];
  return std::string_view(bytes_).substr(begin, byte_starts_[static_cast<std::size_t>(id) + 1] - begin);
}

namespace {

void check_id(const Tokenizer::Impl& impl, TokenId id) {
  if (!impl.vocabulary.contains(id)) {
    throw Error(ErrorCode::usage, fmt::format("token id {}: expected 0 to {}", id, impl.vocabulary.size() - 1));
  }
}

class WholeText {
 public:
  WholeText(std::string_view text, bool parse) : text_(text), range_{0, text.size()}, parse_(parse) {}
  InputText input() const { return {text_, parse_ ? std::span(&range_, 1) : std::span<const TextRange>()}; }

 private:
  std::string_view text_;
  TextRange range_;
  bool parse_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  impl_->pipeline->encode(WholeText(text, options.parse_special).input(), options.add_special, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::encode_pieces(std::span<const TextPiece> pieces, bool add_special) const {
  std::string text;
  std::vector<TextRange> parse;
  for (const TextPiece& piece : pieces) {
    if (piece.parse_special && !piece.text.empty()) {
      if (!parse.empty() && parse.back().end == text.size()) {
        parse.back().end += piece.text.size();
      } else {
        parse.push_back({text.size(), text.size() + piece.text.size()});
      }
    }
    text += piece.text;
  }
  std::vector<TokenId> ids;
  impl_->pipeline->encode({text, parse}, add_special, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::encode_pair(std::string_view first, std::string_view second,
                                            EncodeOptions options) const {
  std::vector<TokenId> ids;
  const WholeText a(first, options.parse_special), b(second, options.parse_special);
  impl_->pipeline->encode_pair(a.input(), b.input(), options.add_special, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string out;
  const auto state = impl_->pipeline->start_decoding(special);
  for (const TokenId id : ids) {
    check_id(*impl_, id);
    state->push(id, out);
  }
  state->finish(out);
  return out;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  check_id(*impl_, id);
  return impl_->token_bytes(id);
}

std::string_view Tokenizer::token_text(TokenId id) const {
  check_id(*impl_, id);
  return impl_->vocabulary.text(id);
}

TokenKind Tokenizer::token_kind(TokenId id) const {
  check_id(*impl_, id);
  return impl_->vocabulary.kind(id);
}

std::optional<TokenId> Tokenizer::find(std::string_view token_text) const {
  const TokenId id = impl_->vocabulary.find(token_text);
  return id == tokenizer::kNoToken ? std::nullopt : std::optional(id);
}

std::int32_t Tokenizer::n_vocab() const {
  return impl_->vocabulary.size();
}

const SpecialTokens& Tokenizer::special() const {
  return impl_->special;
}

bool Tokenizer::is_end_of_generation(TokenId id) const {
  const std::vector<TokenId>& ends = impl_->special.end_of_generation;
  return std::binary_search(ends.begin(), ends.end(), id);
}

std::string Tokenizer::description() const {
  return impl_->description;
}

struct IncrementalDecoder::Impl {
  const Tokenizer::Impl& tokenizer;
  std::unique_ptr<tokenizer::DecodeState> state;
  std::string text;       // given out last, then what is held back
  std::size_t given = 0;  // bytes of `text` given out
};

IncrementalDecoder::IncrementalDecoder(const Tokenizer& tokenizer, bool special)
    : impl_(new Impl{tokenizer.impl(), tokenizer.impl().pipeline->start_decoding(special), {}, 0}) {}
IncrementalDecoder::IncrementalDecoder(IncrementalDecoder&&) noexcept = default;
IncrementalDecoder::~IncrementalDecoder() = default;

std::string_view IncrementalDecoder::push(TokenId id) {
  check_id(impl_->tokenizer, id);
  impl_->text.erase(0, impl_->given);
  impl_->state->push(id, impl_->text);
  impl_->given = finished_utf8_bytes(impl_->text);
  return std::string_view(impl_->text).substr(0, impl_->given);
}

std::string_view IncrementalDecoder::finish() {
  impl_->text.erase(0, impl_->given);
  impl_->state->finish(impl_->text);
  impl_->given = impl_->text.size();
  return impl_->text;
}

}  // namespace llm
