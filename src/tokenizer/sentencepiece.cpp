#include "tokenizer/sentencepiece.h"

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/join_splitter.h"
#include "tokenizer/model_sink.h"
#include "tokenizer/unigram.h"

namespace llm::tokenizer {

namespace {

constexpr std::string_view kReplacement = "\uFFFD";

// Words (a space mark and what follows it) that are tokens, or single characters.
class WholeWords : public Model {
 public:
  WholeWords(const Vocabulary& vocabulary, bool characters, TokenId unknown)
      : vocabulary_(vocabulary), characters_(characters), unknown_(unknown) {}

  void encode(std::string_view text, Scratch&, std::vector<TokenId>& out) const override {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = characters_ ? next_character(text, at) : word_end(text, at);
      const TokenId id = vocabulary_.find(text.substr(at, end - at));
      const TokenId known = id == kNoToken || vocabulary_.kind(id) == TokenKind::control ? unknown_ : id;
      if (known != kNoToken) out.push_back(known);
      at = end;
    }
  }

 private:
  static std::size_t next_character(std::string_view text, std::size_t at) {
    return at + decode_utf8(text.data() + at, text.data() + text.size()).length;
  }
  static std::size_t word_end(std::string_view text, std::size_t at) {
    return std::min(text.find(kSpaceMark, at + 1), text.size());
  }

  const Vocabulary& vocabulary_;
  bool characters_;
  TokenId unknown_;
};

// Cuts user-defined pieces out of the text and gives the rest to another algorithm.
class WithUserDefined : public Model {
 public:
  WithUserDefined(const Vocabulary& vocabulary, std::unique_ptr<const Model> inner,
                  std::unique_ptr<const Splitter> splitter)
      : inner_(std::move(inner)), splitter_(std::move(splitter)) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.kind(id) == TokenKind::user_defined) user_defined_.add(vocabulary.text(id), id, true);
    }
  }

  std::unique_ptr<Scratch> make_scratch() const override { return inner_->make_scratch(); }

  void encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const override {
    for (std::size_t at = 0; at < text.size();) {
      const SpecialMatcher::Match match = user_defined_.find(text, at, {});
      if (match.begin > at) encode_plain(text.substr(at, match.begin - at), scratch, out);
      if (match.id != kNoToken) out.push_back(match.id);
      at = match.end;
    }
  }

 private:
  void encode_plain(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const {
    if (splitter_ == nullptr) return inner_->encode(text, scratch, out);
    ModelSink sink(*inner_, scratch, out, text.size());
    splitter_->split(text, sink);
  }

  std::unique_ptr<const Model> inner_;
  std::unique_ptr<const Splitter> splitter_;
  SpecialMatcher user_defined_;
};

}  // namespace

SentencePieceNormalizer::Step SentencePieceNormalizer::next(std::string_view text) const {
  if (!options_.user_defined.empty()) {
    const SpecialMatcher::Match match = options_.user_defined.longest_at(text, 0);
    if (match.id != kNoToken) return {text.substr(0, match.end), match.end};
  }
  if (const auto match = options_.map.find(text)) return {match->replacement, match->length};
  const Utf8Char c = decode_utf8(text.data(), text.data() + text.size());
  if (!c.valid) return {kReplacement, 1};
  return {text.substr(0, c.length), c.length};
}

std::string SentencePieceNormalizer::normalize(std::string_view text) const {
  if (options_.remove_extra_whitespaces) {
    while (!text.empty()) {
      const Step step = next(text);
      if (step.text != " ") break;
      text.remove_prefix(step.length);
    }
  }
  std::string out;
  if (text.empty()) return out;
  const std::string_view space = options_.escape_whitespaces ? kSpaceMark : " ";
  const auto n_spaces = static_cast<std::size_t>(std::count(text.begin(), text.end(), ' '));
  out.reserve(text.size() + (space.size() - 1) * n_spaces + space.size());
  if (options_.add_dummy_prefix && !options_.whitespace_as_suffix) out.append(space);
  bool after_space = options_.remove_extra_whitespaces;
  while (!text.empty()) {
    const Step step = next(text);
    text.remove_prefix(step.length);
    std::string_view added = step.text;
    while (after_space && added.starts_with(' ')) added.remove_prefix(1);
    for (const char c : added) {
      if (c == ' ') {
        out.append(space);
      } else {
        out += c;
      }
    }
    if (!added.empty()) after_space = added.ends_with(' ');
    if (!options_.remove_extra_whitespaces) after_space = false;
  }
  if (options_.remove_extra_whitespaces) {
    while (std::string_view(out).ends_with(space)) out.erase(out.size() - space.size());
  }
  if (options_.add_dummy_prefix && options_.whitespace_as_suffix) out.append(space);
  return out;
}

std::unique_ptr<const Model> make_sentencepiece_model(const Vocabulary& vocabulary, SentencePieceKind kind,
                                                      TokenId unknown, bool byte_fallback) {
  if (kind == SentencePieceKind::unigram) {
    return std::make_unique<Unigram>(
        vocabulary, Unigram::Options{.unknown = unknown, .byte_fallback = byte_fallback, .single_precision = true});
  }
  std::unique_ptr<const Model> inner;
  std::unique_ptr<const Splitter> splitter;
  if (kind == SentencePieceKind::bpe) {
    Bpe::Options options;
    options.units = Bpe::Units::characters;
    options.byte_fallback = byte_fallback;
    options.unknown = unknown;
    auto bpe = std::make_unique<Bpe>(vocabulary, std::move(options));
    bpe->add_merges_from_scores();
    inner = std::move(bpe);
    splitter = std::make_unique<JoinSplitter>(vocabulary);
  } else {
    const bool characters = kind == SentencePieceKind::character;
    inner = std::make_unique<WholeWords>(vocabulary, characters, unknown);
    // Words are looked up whole, whatever they hold.
    if (!characters) return inner;
  }
  return std::make_unique<WithUserDefined>(vocabulary, std::move(inner), std::move(splitter));
}

}  // namespace llm::tokenizer
