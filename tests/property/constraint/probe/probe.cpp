// Answers questions about constraints, one JSON object a line, for cross_check.py:
//   in:  {"schema": ..., "lax": bool, "texts": [...], "n": count, "seed": number}
//   out: {"accepted": [bool ...], "generated": [text ...], "cut": count} or {"error": "..."}
// `texts` are fed token by token through masks, `generated` are random walks through masks that ended by themselves.
#include <iostream>
#include <llm/constraint.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "sampling/constraint_state.h"

namespace {

using Json = nlohmann::json;
using namespace llm;
using namespace llm::sampling;

constexpr TokenId end_token = 0;

std::vector<std::string> make_tokens() {
  std::vector<std::string> tokens = {"<end>"};
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  for (const char* text :
       {"\":",  "\": ", "\", \"", "\",\"", "{\"", "[\"", "\"]", "\"}", "true", "false",
        "null", "12",   "0.5",    "-1",    "e-",  "ab",  "abc", "foo", "bar",  "\\u00",
        "\\\"", ", ",   "\n  ",   "}}",    "]]",  "},",  "{}",  "[]",  "\"\"", "hello world, this is long"}) {
    tokens.emplace_back(text);
  }
  return tokens;
}

// Whether the text passes when it is cut into random tokens.
bool passes(ConstraintState state, const std::string& text, const VocabularyIndex& vocabulary, std::mt19937& random) {
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at, 1 + random() % 8);
    TokenId token = vocabulary.long_tokens.longest_prefix(std::string_view(text).substr(at));
    if (token < 0 || random() % 2 == 0) token = vocabulary.short_tokens.longest_prefix(rest);
    if (!state.mask()->test(token) || !state.advance(token)) return false;
    at += vocabulary.tokens.bytes(token).size();
  }
  return state.mask()->test(end_token) && state.can_end();
}

// A random text, or nothing if it did not end in time.
std::optional<std::string> walk(ConstraintState state, const VocabularyIndex& vocabulary, std::mt19937& random) {
  std::string text;
  const std::size_t patience = random() % 60;
  for (std::size_t step = 0; step < 3000; ++step) {
    const auto mask = state.mask();
    if (mask->test(end_token) && (random() % 3 == 0 || step > patience)) return text;
    std::vector<TokenId> allowed, closing;
    for (TokenId id = 1; id < vocabulary.tokens.n_vocab(); ++id) {
      if (!mask->test(id)) continue;
      allowed.push_back(id);
      const std::string_view bytes = vocabulary.tokens.bytes(id);
      if (bytes == "\"" || bytes == "]" || bytes == "}") closing.push_back(id);
    }
    if (allowed.empty()) {
      if (mask->test(end_token)) return text;
      throw std::runtime_error("a state without any token after: " + text);
    }
    const std::vector<TokenId>& from = step > patience && !closing.empty() ? closing : allowed;
    const TokenId token = from[random() % from.size()];
    if (!state.advance(token)) throw std::runtime_error("the mask allows what advance refuses after: " + text);
    text += vocabulary.tokens.bytes(token);
  }
  return std::nullopt;
}

}  // namespace

int main() {
  const std::vector<std::string> words = make_tokens();
  const std::vector<TokenId> ends = {end_token};
  const TokenTable table(
      static_cast<std::int32_t>(words.size()),
      [&](TokenId id) { return std::string_view(words[static_cast<std::size_t>(id)]); }, ends);
  const VocabularyIndex vocabulary(table);
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      const Json question = Json::parse(line);
      std::mt19937 random(question.value("seed", 1u));
      const Constraint constraint =
          Constraint::json_schema(question["schema"].dump(), {.lax = question.value("lax", false)});
      const ConstraintState start(constraint, vocabulary);
      answer["accepted"] = Json::array();
      for (const Json& text : question.value("texts", Json::array())) {
        const bool tokens = passes(start, text.get<std::string>(), vocabulary, random);
        if (tokens != constraint.accepts(text.get<std::string>())) throw std::runtime_error("tokens and bytes differ");
        answer["accepted"].push_back(tokens);
      }
      answer["generated"] = Json::array();
      int n_cut = 0;
      for (int i = 0; i < question.value("n", 0); ++i) {
        if (const std::optional<std::string> text = walk(start, vocabulary, random)) {
          answer["generated"].push_back(*text);
        } else {
          ++n_cut;
        }
      }
      answer["cut"] = n_cut;
    } catch (const std::exception& e) {
      answer = {{"error", e.what()}};
    }
    std::cout << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
}
