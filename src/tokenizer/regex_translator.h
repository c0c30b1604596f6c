#ifndef TOKENIZER_REGEX_TRANSLATOR_H
#define TOKENIZER_REGEX_TRANSLATOR_H

#include <string>
#include <string_view>

namespace llm::tokenizer {

// A regular expression in the dialect of tokenizer files (Oniguruma, Ruby's syntax) as one for PCRE2 with UTF, UCP and
// MULTILINE: names of properties, \w \s \h and POSIX classes by Unicode, classes in classes and their intersections,
// (?m) for "the dot matches newlines", intervals that are never possessive. Characters newer than PCRE2's tables are
// added to the general categories. Throws Error(model) with `source` and the pattern for what has no counterpart.
std::string translate_regex(std::string_view pattern, std::string_view source);

}  // namespace llm::tokenizer

#endif
