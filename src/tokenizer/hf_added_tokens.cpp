#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/hf_json.h"
#include "tokenizer/run_splitters.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer::hf {

namespace {

bool is_word(char32_t c) {
  return c == 0x200C || c == 0x200D || is_word_character(c);
}

// The character before `at`; needs at > 0.
Utf8Char character_before(std::string_view text, std::size_t at) {
  std::size_t begin = at - 1;
  while (begin > 0 && at - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  const Utf8Char c = decode_utf8(text.data() + begin, text.data() + at);
  return c.valid && begin + c.length == at ? c : Utf8Char{};
}

std::size_t spaces_before(std::string_view text, std::size_t at) {
  while (at > 0) {
    const Utf8Char c = character_before(text, at);
    if ((char_flags(c.code_point) & kWhiteSpace) == 0) break;
    at -= c.length;
  }
  return at;
}

std::size_t spaces_after(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Char c = decode_utf8(text.data() + at, text.data() + text.size());
    if ((char_flags(c.code_point) & kWhiteSpace) == 0) break;
    at += c.length;
  }
  return at;
}

bool covers(std::span<const TextRange> ranges, std::size_t begin, std::size_t end) {
  const auto range =
      std::partition_point(ranges.begin(), ranges.end(), [begin](const TextRange& r) { return r.end <= begin; });
  return range != ranges.end() && range->begin <= begin && end <= range->end;
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token, std::string_view content) {
  matcher_.add(content, static_cast<TokenId>(tokens_.size()), true);
  tokens_.push_back(token);
}

std::vector<AddedTokenMatcher::Split> AddedTokenMatcher::split(std::string_view text,
                                                               std::span<const TextRange> parse) const {
  std::vector<Split> splits;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !empty();) {
    const SpecialMatcher::Match match = matcher_.find(text, at, {});
    if (match.id < 0) break;
    at = match.end;
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.id)];
    if (token.special && !covers(parse, match.begin, match.end)) continue;
    if (token.single_word) {
      const bool word_before = match.begin > 0 && is_word(character_before(text, match.begin).code_point);
      const bool word_after = match.end < text.size() &&
                              is_word(decode_utf8(text.data() + match.end, text.data() + text.size()).code_point);
      if (word_before || word_after) continue;
    }
    const std::size_t begin = token.lstrip ? std::max(spaces_before(text, match.begin), done) : match.begin;
    const std::size_t end = token.rstrip ? spaces_after(text, match.end) : match.end;
    if (done < begin) splits.push_back({done, begin, kNoToken});
    splits.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) splits.push_back({done, text.size(), kNoToken});
  return splits;
}

}  // namespace llm::tokenizer::hf
