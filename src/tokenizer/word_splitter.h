#ifndef TOKENIZER_WORD_SPLITTER_H
#define TOKENIZER_WORD_SPLITTER_H

#include <cstdint>
#include <limits>
#include <memory>

#include "tokenizer/splitter.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

// The family of patterns that GPT-2's began: contraction | word | digits | punctuation | white space, in this order.
struct WordRule {
  enum class Contractions : std::uint8_t { none, lower_case, any_case };
  enum class Words : std::uint8_t {
    space_letters,    // ` ?\p{L}+`
    prefix_letters,   // `[^prefix_excludes]?[letters]+`
    cased,            // `[^prefix_excludes]?UP*LOW+(contraction)?|[^prefix_excludes]?UP+LOW*(contraction)?`
    spaced_syllables  // `[^prefix_excludes]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`
  };
  enum class Tail : std::uint8_t {
    none,
    newlines,              // `[\r\n]*` after punctuation
    newlines_slashes,      // `[\r\n/]*`
    one_newline_or_slash,  // `[\r\n/]?`
  };
  enum class Spaces : std::uint8_t {
    plain,          // `\s+(?!\S)|\s+`
    with_newlines,  // `\s*[\r\n]+|\s+(?!\S)|\s+`
    one_newline,    // `[\r\n]|\s+(?!\S)|\s+`
    powers_of_two   // `\s*[\r\n]+|\s{512}(?!\S)| ... |\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`
  };
  static constexpr unsigned kNoLimit = std::numeric_limits<unsigned>::max();

  bool han_runs = false;                 // `\p{Han}+` first
  bool ascii_punctuation_words = false;  // ``[!-/:-~]`` without letters and digits, then `[A-Za-z]+`, before words
  Contractions contractions = Contractions::any_case;
  Words words = Words::prefix_letters;
  CharFlags letters = kLetter;
  CharFlags prefix_excludes = kNewline | kLetter | kNumber;
  bool contraction_suffix = false;  // cased: `(?i:'s|...)?` after a word
  bool without_han = false;         // cased: UP and LOW without Han
  bool digits = true;
  bool space_before_digits = false;  // ` ?\p{N}+`
  unsigned max_digits = 3;
  CharFlags punctuation_excludes = kWhiteSpace | kLetter | kNumber;  // ` ?[^...]+`
  CharFlags punctuation_includes = 0;                                // if not 0: ` ?[...]+`
  Tail tail = Tail::newlines;
  Spaces spaces = Spaces::with_newlines;
};

std::unique_ptr<const Splitter> make_word_splitter(const WordRule& rule);

}  // namespace llm::tokenizer

#endif
