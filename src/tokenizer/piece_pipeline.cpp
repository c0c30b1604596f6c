#include "tokenizer/piece_pipeline.h"

#include <algorithm>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/model_sink.h"
#include "tokenizer/rwkv.h"

namespace llm::tokenizer {

namespace {

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string unescape_spaces(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at, kSpaceMark.size()) == kSpaceMark) {
      out += ' ';
      at += kSpaceMark.size();
    } else {
      out += text[at++];
    }
  }
  return out;
}

class PieceDecodeState : public DecodeState {
 public:
  PieceDecodeState(const PiecePipeline& pipeline, bool special) : pipeline_(pipeline), special_(special) {}

  void push(TokenId id, std::string& out) override {
    const PiecePipeline::Options& options = pipeline_.options();
    const TokenKind kind = pipeline_.vocabulary().kind(id);
    if (kind == TokenKind::unknown && !options.unknown_text.empty()) {
      out += options.unknown_text;
      at_start_ = false;
      return;
    }
    const bool hidden = kind == TokenKind::control || kind == TokenKind::unknown;
    if (hidden && !special_) return;
    const std::string bytes = pipeline_.token_bytes(id);
    const bool drop = at_start_ && !hidden && options.drop_first_space && !bytes.empty() && bytes[0] == ' ';
    out.append(bytes, drop ? 1 : 0);
    // A first token that is a space alone leaves the text empty.
    if (!(options.drop_all_first_spaces && drop && bytes.size() == 1)) at_start_ = false;
  }

 private:
  const PiecePipeline& pipeline_;
  bool special_;
  bool at_start_ = true;
};

}  // namespace

std::string escape_spaces(std::string_view text, bool prefix) {
  const auto n_spaces = static_cast<std::size_t>(std::count(text.begin(), text.end(), ' '));
  std::string out;
  out.reserve(text.size() + 2 * n_spaces + kSpaceMark.size());
  if (prefix) out += kSpaceMark;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    out += text.substr(0, space);
    if (space == text.size()) break;
    out += kSpaceMark;
    text.remove_prefix(space + 1);
  }
  return out;
}

PiecePipeline::PiecePipeline(const Vocabulary& vocabulary, Options options)
    : vocabulary_(vocabulary), options_(std::move(options)), scratch_(*options_.model) {}

void PiecePipeline::encode_part(std::string_view part, bool starts, Scratch& scratch, std::vector<TokenId>& out) const {
  const std::size_t first = out.size();
  std::string normalized;
  if (options_.normalizer) {
    normalized = options_.normalizer(part, starts);
    part = normalized;
  }
  ModelSink sink(*options_.model, scratch, out, part.size());
  if (starts) {
    options_.splitter.split_first(part, sink);
  } else {
    options_.splitter.split(part, sink);
  }
  if (options_.fuse != kNoToken) {
    const auto same = [this](TokenId a, TokenId b) { return a == options_.fuse && b == options_.fuse; };
    out.erase(std::unique(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), same), out.end());
  }
}

void PiecePipeline::encode_text(const InputText& input, std::vector<TokenId>& out) const {
  const std::string_view text = input.text;
  if (text.empty()) return;
  out.reserve(out.size() + text.size() / 4 + 2);
  const auto lease = scratch_.take();
  const bool search = options_.specials.has_always() || (!input.parse.empty() && !options_.specials.empty());
  bool starts = true;
  for (std::size_t at = 0; at < text.size();) {
    const SpecialMatcher::Match match =
        search ? options_.specials.find(text, at, input.parse) : SpecialMatcher::Match{text.size(), text.size(), -1};
    std::size_t end = match.begin;
    if (match.id >= 0 && !options_.strip_before.empty() && options_.strip_before[static_cast<std::size_t>(match.id)]) {
      while (end > at && is_ascii_space(text[end - 1])) --end;
    }
    if (end > at) {
      encode_part(text.substr(at, end - at), starts, *lease, out);
      starts = false;
    }
    at = match.end;
    if (match.id < 0) break;
    out.push_back(match.id);
    starts = !options_.only_text_starts;
    if (!options_.strip_after.empty() && options_.strip_after[static_cast<std::size_t>(match.id)]) {
      while (at < text.size() && is_ascii_space(text[at])) ++at;
    }
  }
}

void PiecePipeline::encode(const InputText& input, bool add_special, std::vector<TokenId>& out) const {
  if (add_special) out.insert(out.end(), options_.before.begin(), options_.before.end());
  encode_text(input, out);
  if (add_special) out.insert(out.end(), options_.after.begin(), options_.after.end());
}

void PiecePipeline::encode_pair(const InputText& first, const InputText& second, bool add_special,
                                std::vector<TokenId>& out) const {
  if (add_special) out.insert(out.end(), options_.before.begin(), options_.before.end());
  encode_text(first, out);
  if (add_special) out.insert(out.end(), options_.between.begin(), options_.between.end());
  encode_text(second, out);
  if (add_special) out.insert(out.end(), options_.after.begin(), options_.after.end());
}

std::unique_ptr<DecodeState> PiecePipeline::start_decoding(bool special) const {
  return std::make_unique<PieceDecodeState>(*this, special);
}

std::string PiecePipeline::token_bytes(TokenId id) const {
  std::string_view text = vocabulary_.text(id);
  if (!options_.drop_at_end.empty() && text.ends_with(options_.drop_at_end)) {
    text.remove_suffix(options_.drop_at_end.size());
  }
  switch (vocabulary_.kind(id)) {
    case TokenKind::unused:
      return {};
    case TokenKind::control:
    case TokenKind::unknown:
      return std::string(text);
    case TokenKind::user_defined:
      if (!options_.respell_user_defined) return std::string(text);
      break;
    case TokenKind::byte:
      if (const int byte = byte_token_value(text); byte >= 0) return std::string(1, static_cast<char>(byte));
      break;
    default:
      break;
  }
  std::string out;
  switch (options_.spelling) {
    case Spelling::stand_ins:
      if (!append_bytes_of_stand_ins(text, out)) out = text;
      break;
    case Spelling::escaped:
      out = unescape_spaces(text);
      break;
    case Spelling::quoted:
      out = unquote_rwkv(text);
      break;
  }
  return out;
}

}  // namespace llm::tokenizer
