#ifndef CHAT_LEXER_H
#define CHAT_LEXER_H

#include <string>
#include <string_view>
#include <vector>

namespace llm::chat {

struct Place {
  int line = 1, column = 1;  // columns count code points
};

// Error(usage): "line L, column C: message"
[[noreturn]] void fail_at(Place place, const std::string& message);

enum class TokenKind {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenKind kind;
  std::string text;  // of a string: unescaped; of an operator: itself
  Place place;
};

// Line ends as \n, without one newline at the end, as the language wants its source.
std::string normalize_source(std::string_view source);

// Takes a normalized template apart; white space control is applied to the data tokens, comments and raw blocks are
// gone. Throws Error(usage).
std::vector<Token> tokenize(const std::string& source);

}  // namespace llm::chat

#endif
