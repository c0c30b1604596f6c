#ifndef TOKENIZER_RUN_SPLITTERS_H
#define TOKENIZER_RUN_SPLITTERS_H

#include <memory>
#include <string>

#include "tokenizer/splitter.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

// Which of several character classes a character is in; 0: none.
using CharClass = int (*)(char32_t code_point, CharFlags flags);

struct RunRule {
  CharClass char_class = nullptr;
  bool leading_space = false;  // `\s?` before the run
  unsigned max_length = 0;     // characters; 0: no limit
};
// `[class]+|[another class]+`
std::unique_ptr<const Splitter> make_run_splitter(const RunRule& rule);

// Character classes of the pre-tokenizers' patterns.
int class_newline(char32_t, CharFlags);               // [\r\n]
int class_letter(char32_t, CharFlags);                // \p{L}
int class_number(char32_t, CharFlags);                // \p{N}
int class_punctuation(char32_t, CharFlags);           // \p{P}
int class_default_punctuation(char32_t, CharFlags);   // [\p{P}\$\+<=>\^~\|]
int class_falcon_punctuation(char32_t, CharFlags);    // the same and `
int class_any_punctuation(char32_t, CharFlags);       // [\p{P}!-/:-@\[-`{-~]
int class_deepseek_letter(char32_t, CharFlags);       // cased scripts
int class_deepseek_punctuation(char32_t, CharFlags);  // [!-/:-~ and full-width, quotes, CJK stops]
int class_deepseek_cjk(char32_t, CharFlags);          // U+0800..9FA5, AC00..D7FF
int class_kana_ideograph(char32_t, CharFlags);        // U+3040..30FF, 4E00..9FA5
int class_asian(char32_t, CharFlags);                 // East and South-East Asian scripts
int class_youtu(char32_t, CharFlags);                 // Hangul, CJK punctuation, Bopomofo, kana and ideographs
int class_word_like(char32_t, CharFlags);             // all but white space and ( ) | . , ! ? and their like
int class_line(char32_t, CharFlags);                  // [^\n]+|[\n]+
int class_white_space(char32_t, CharFlags);           // \s

// \w: letters, marks, decimal and letter numbers, other alphabetic characters, connector punctuation.
bool is_word_character(char32_t c);

// ` ?[class]+` with a plain space only.
std::unique_ptr<const Splitter> make_spaced_run_splitter(CharClass char_class);
// `[0-9][0-9][0-9]`
std::unique_ptr<const Splitter> make_digit_triple_splitter();
// `\s+$`
std::unique_ptr<const Splitter> make_trailing_space_splitter();

enum class DigitGroups : int {
  numbers,          // `\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`
  before_boundary,  // `\d{1,3}(?=(?:\d{3})*\b)`
  cuts              // cuts at `(?=(\d{3})+(?!\d))`
};
// Groups of three digits counted from the right.
std::unique_ptr<const Splitter> make_digit_group_splitter(DigitGroups kind);

// `<sentinel:[0-9]+>`, `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z` and `([\t\n]|    |  )` of Chameleon.
std::unique_ptr<const Splitter> make_sentinel_splitter();
std::unique_ptr<const Splitter> make_image_token_splitter();
std::unique_ptr<const Splitter> make_indent_splitter();

// Runs of what is not white space; white space is dropped.
std::unique_ptr<const Splitter> make_white_space_dropper();

}  // namespace llm::tokenizer

#endif
