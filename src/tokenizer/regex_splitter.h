#ifndef TOKENIZER_REGEX_SPLITTER_H
#define TOKENIZER_REGEX_SPLITTER_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/splitter.h"

namespace llm::tokenizer {

// A regular expression of a tokenizer file (Oniguruma's dialect), run by PCRE2 with limits on steps and memory.
class Regex {
 public:
  // Throws Error(model) with the pattern if PCRE2 cannot run it.
  Regex(std::string_view pattern, std::string_view source);
  Regex(Regex&&) noexcept;
  ~Regex();

  struct Match {
    std::size_t begin = 0, end = 0;
  };
  // Calls `found` for each match, from left to right, without overlaps; empty matches only where none ended before.
  // Throws Error(model) if a limit is reached.
  void for_each_match(std::string_view text, const std::function<void(Match)>& found) const;
  std::string replace_all(std::string_view text, std::string_view replacement) const;

 private:
  void match_valid(std::string_view text, std::size_t offset, const std::function<void(Match)>& found) const;

  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

// What becomes of the text that a pattern matches.
enum class SplitBehavior : std::uint8_t { isolated, removed, merged_with_previous, merged_with_next, contiguous };

struct SplitMode {
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // what does not match is taken for the matches
};
std::unique_ptr<const Splitter> make_regex_splitter(std::string_view pattern, SplitMode mode, std::string_view source);
std::unique_ptr<const Splitter> make_literal_splitter(std::string literal, SplitMode mode);
// By single characters: `matches` tells which ones.
std::unique_ptr<const Splitter> make_character_splitter(std::function<bool(char32_t)> matches, SplitMode mode);

}  // namespace llm::tokenizer

#endif
