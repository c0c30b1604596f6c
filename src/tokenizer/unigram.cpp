#include "tokenizer/unigram.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

namespace {

// Below the lowest score of any token.
constexpr double kUnknownPenalty = 10;
// Tokens longer than this many characters are never matched.
constexpr std::size_t kLongestToken = 0xFFFF;
// Entries of a scratch table that stays allocated.
constexpr std::size_t kKeptEntries = 1 << 16;

}  // namespace

Unigram::Unigram(const Vocabulary& vocabulary, Options options)
    : vocabulary_(vocabulary), options_(options), trie_(vocabulary.text_bytes()) {
  const auto n = static_cast<std::size_t>(vocabulary.size());
  scores_.resize(n);
  n_characters_.resize(n);
  double lowest = std::numeric_limits<double>::max();
  for (TokenId id = 0; id < vocabulary.model_size(); ++id) {
    const bool counts = options.all_tokens || vocabulary.kind(id) == TokenKind::normal;
    if (!counts) continue;
    lowest = std::min<double>(lowest, vocabulary.score(id));
  }
  if (lowest == std::numeric_limits<double>::max()) lowest = 0;
  unknown_score_ = lowest - kUnknownPenalty;
  if (options.single_precision) unknown_score_ = static_cast<float>(unknown_score_);
  for (TokenId id = 0; id < vocabulary.model_size(); ++id) {
    const auto i = static_cast<std::size_t>(id);
    const TokenKind kind = vocabulary.kind(id);
    const bool matches = options.all_tokens || kind == TokenKind::normal || kind == TokenKind::user_defined;
    const std::string_view text = vocabulary.text(id);
    const std::size_t n_characters = count_characters(text);
    if (!matches || text.empty() || n_characters > kLongestToken || !is_valid_utf8(text)) continue;
    // User-defined tokens cost nothing, so that they are always taken.
    const bool free = kind == TokenKind::user_defined && !options.all_tokens;
    scores_[i] = free ? 0 : vocabulary.score(id);
    n_characters_[i] = static_cast<std::uint16_t>(n_characters);
    most_characters_ = std::max(most_characters_, n_characters);
    trie_.add(text, id);
  }
  for (unsigned b = 0; b < 256; ++b) byte_tokens_[b] = vocabulary.find(byte_token_text(static_cast<unsigned char>(b)));
}

// Scores are kept for the longest token's reach only, the best token for every character.
struct Unigram::Work : Scratch {
  struct Best {
    double score = 0;
    bool set = false;
  };
  std::vector<Best> best;       // all unset between calls
  std::vector<TokenId> ending;  // token of the best segmentation that ends after this character; kNoToken: unknown
};

std::unique_ptr<Scratch> Unigram::make_scratch() const {
  auto work = std::make_unique<Work>();
  work->best.resize(most_characters_ + 1);
  return work;
}

void Unigram::encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const {
  auto& work = static_cast<Work&>(scratch);
  const std::size_t reach = most_characters_ + 1;
  using Best = Work::Best;
  std::vector<Best>& best = work.best;
  std::vector<TokenId>& ending = work.ending;
  ending.clear();
  ending.reserve(text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
                   return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
                 })));
  best[0].set = true;
  const auto offer = [&](std::size_t position, double score, TokenId id) {
    Best& target = best[position % reach];
    if (target.set && score <= target.score) return;
    target = {options_.single_precision ? static_cast<double>(static_cast<float>(score)) : score, true};
    if (ending.size() < position) ending.resize(position);
    ending[position - 1] = id;
  };
  std::size_t position = 0;  // characters before `at`
  for (std::size_t at = 0; at < text.size(); ++position) {
    const double before = best[position % reach].score;
    const std::size_t length = decode_utf8(text.data() + at, text.data() + text.size()).length;
    bool single = false;
    std::uint32_t node = ByteTrie::kRoot;
    for (std::size_t i = at; i < text.size(); ++i) {
      node = trie_.child(node, text[i]);
      if (node == ByteTrie::kNone) break;
      const TokenId id = trie_.value(node);
      if (id == kNoToken) continue;
      offer(position + n_characters_[static_cast<std::size_t>(id)], before + scores_[static_cast<std::size_t>(id)], id);
      single |= i + 1 == at + length;
    }
    if (!single) offer(position + 1, before + unknown_score_, kNoToken);
    best[position % reach] = {};
    at += length;
  }
  best[position % reach] = {};
  // Backwards along the best segmentation, keeping only its tokens, then forwards over them.
  std::size_t kept = ending.size();
  for (std::size_t end = position; end > 0;) {
    const TokenId id = ending[end - 1];
    end -= id == kNoToken ? 1 : n_characters_[static_cast<std::size_t>(id)];
    ending[--kept] = id;
  }
  out.reserve(out.size() + (ending.size() - kept));
  const std::size_t first = out.size();
  for (std::size_t at = 0; kept < ending.size(); ++kept) {
    const TokenId id = ending[kept];
    if (id != kNoToken) {
      out.push_back(id);
      at += vocabulary_.text(id).size();
    } else {
      const std::size_t length = decode_utf8(text.data() + at, text.data() + text.size()).length;
      emit_unknown(text.substr(at, length), first, out);
      at += length;
    }
  }
  // A long text's table is not kept.
  if (ending.capacity() > kKeptEntries) std::vector<TokenId>().swap(ending);
}

void Unigram::emit_unknown(std::string_view bytes, std::size_t first, std::vector<TokenId>& out) const {
  const bool all = options_.byte_fallback && std::all_of(bytes.begin(), bytes.end(), [this](char c) {
                     return byte_tokens_[static_cast<unsigned char>(c)] != kNoToken;
                   });
  if (all) {
    for (const char c : bytes) out.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
  } else if (options_.unknown != kNoToken && !(out.size() > first && out.back() == options_.unknown)) {
    out.push_back(options_.unknown);
  }
}

}  // namespace llm::tokenizer
