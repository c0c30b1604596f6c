// What constraints cost. The vocabularies are named by LLM_BENCH_VOCABULARIES (paths with a colon between them);
// without them one of bytes and letter pairs serves. Counters: `first_ms`, from the constraint's text to the first
// mask; `late_us`, mean of mask and step for a token after the first 50 of an answer that is met for the first time;
// `again_us`, the same when its states are known.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <llm/constraint.hpp>
#include <llm/tokenizer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sampling/constraint_state.h"

namespace {

using Clock = std::chrono::steady_clock;
using llm::Constraint;
using llm::TokenId;
using llm::sampling::ConstraintState;
using llm::sampling::TokenTable;
using llm::sampling::VocabularyIndex;

double milliseconds(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// A vocabulary, and how a text is cut into its tokens.
struct Vocabulary {
  std::string name;
  std::optional<llm::Tokenizer> tokenizer;
  std::unique_ptr<TokenTable> table;
  std::unique_ptr<VocabularyIndex> index;
  double index_ms = 0;

  std::vector<TokenId> encode(const std::string& text) const {
    if (tokenizer) return tokenizer->encode(text);
    std::vector<TokenId> ids;
    for (std::size_t at = 0; at < text.size();) {
      const TokenId id = index->short_tokens.longest_prefix(std::string_view(text).substr(at));
      ids.push_back(id);
      at += table->bytes(id).size();
    }
    return ids;
  }
};

std::unique_ptr<TokenTable> table_of(const llm::Tokenizer& tokenizer) {
  return std::make_unique<TokenTable>(
      static_cast<std::int32_t>(tokenizer.n_vocab()),
      [&](TokenId id) {
        const llm::TokenKind kind = tokenizer.token_kind(id);
        const bool has_text =
            kind == llm::TokenKind::normal || kind == llm::TokenKind::user_defined || kind == llm::TokenKind::byte;
        return has_text ? tokenizer.token_bytes(id) : std::string_view();
      },
      tokenizer.special().end_of_generation);
}

std::unique_ptr<TokenTable> small_table() {
  std::vector<std::string> tokens = {"<end>"};
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) tokens.push_back({a, b});
  }
  const std::vector<TokenId> ends = {0};
  return std::make_unique<TokenTable>(
      static_cast<std::int32_t>(tokens.size()),
      [&](TokenId id) { return std::string_view(tokens[static_cast<std::size_t>(id)]); }, ends);
}

const std::vector<std::unique_ptr<Vocabulary>>& vocabularies() {
  static const auto all = [] {
    std::vector<std::unique_ptr<Vocabulary>> found;
    std::string paths = std::getenv("LLM_BENCH_VOCABULARIES") != nullptr ? std::getenv("LLM_BENCH_VOCABULARIES") : "";
    while (!paths.empty() || found.empty()) {
      const std::size_t colon = std::min(paths.find(':'), paths.size());
      const std::string path = paths.substr(0, colon);
      paths.erase(0, colon + 1);
      auto v = std::make_unique<Vocabulary>();
      v->name = path.empty() ? "small" : path.substr(path.find_last_of('/') + 1);
      if (!path.empty()) v->tokenizer.emplace(llm::Tokenizer::open(path));
      v->table = v->tokenizer ? table_of(*v->tokenizer) : small_table();
      const auto begin = Clock::now();
      v->index = std::make_unique<VocabularyIndex>(*v->table);
      v->index_ms = milliseconds(begin);
      found.push_back(std::move(v));
    }
    return found;
  }();
  return all;
}

const std::string person = R"({"name": "Ada Lovelace", "email": "ada.lovelace@example.org", "born": "1815-12-10",
 "age": 36, "height": 1.63, "tags": ["mathematics", "poetry", "engines"],
 "address": {"street": "12 St James's Square", "city": "London", "code": "SW1Y 4JH"},
 "friends": [{"name": "Charles Babbage", "years": 18}, {"name": "Mary Somerville", "years": 20},
 {"name": "Michael Faraday", "years": 7}], "note": "She wrote the first programme for a machine that was never built."})";

constexpr const char* person_schema = R"({"type": "object", "required": ["name", "email", "address"], "properties": {
  "name": {"type": "string", "maxLength": 80}, "email": {"type": "string", "format": "email"},
  "born": {"type": "string", "format": "date"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
  "height": {"type": "number", "exclusiveMinimum": 0, "maximum": 3}, "note": {"type": "string"},
  "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "maxItems": 10},
  "address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"},
    "code": {"type": "string", "pattern": "^[A-Z0-9]{2,4} [A-Z0-9]{3}$"}}, "required": ["city"],
    "additionalProperties": false},
  "friends": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"},
    "years": {"type": "integer", "minimum": 0}}, "additionalProperties": false}}}, "additionalProperties": false})";

constexpr const char* json_grammar = R"GBNF(root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)GBNF";

struct Case {
  const char* name;
  std::function<Constraint()> make;
  std::string text;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"json_object", [] { return Constraint::json_object(); }, person},
      {"schema", [] { return Constraint::json_schema(person_schema, {}); }, person},
      {"grammar", [] { return Constraint::gbnf(json_grammar); }, person},
      {"regex", [] { return Constraint::regex("([A-Z][a-z]+ ?([a-z]+[,;]? ?){3,12}[.!?] ?)+"); },
       [] {
         std::string text;
         for (int i = 0; i < 12; ++i) text += "The harbour master keeps a ledger of every ship that comes in. ";
         return text;
       }()},
  };
  return all;
}

// Microseconds for a token after the first 50.
double late(ConstraintState state, const std::vector<TokenId>& ids) {
  constexpr std::size_t n_early = 50;
  Clock::time_point begin = Clock::now();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i == std::min(n_early, ids.size() - 1)) begin = Clock::now();
    benchmark::DoNotOptimize(state.mask());
    if (!state.advance(ids[i])) return -1;
  }
  return milliseconds(begin) * 1000 / static_cast<double>(ids.size() - std::min(n_early, ids.size() - 1));
}

void constraint(benchmark::State& state, const Vocabulary& vocabulary, const Case& one) {
  const std::vector<TokenId> ids = vocabulary.encode(one.text);
  double first_ms = 0, late_us = 0, again_us = 0;
  for (auto _ : state) {
    const auto begin = Clock::now();
    const Constraint made = one.make();
    const ConstraintState start(made, *vocabulary.index);
    benchmark::DoNotOptimize(start.mask());
    first_ms += milliseconds(begin);
    late_us += late(start, ids);
    again_us += late(start, ids);
  }
  if (late_us < 0) state.SkipWithError("the text is refused");
  const auto n = static_cast<double>(state.iterations());
  state.counters["tokens"] = static_cast<double>(ids.size());
  state.counters["index_ms"] = vocabulary.index_ms;
  state.counters["first_ms"] = first_ms / n;
  state.counters["late_us"] = late_us / n;
  state.counters["again_us"] = again_us / n;
}

const int registered = [] {
  for (const auto& vocabulary : vocabularies()) {
    for (const Case& one : cases()) {
      benchmark::RegisterBenchmark(("constraint/" + vocabulary->name + "/" + one.name).c_str(),
                                   [&](benchmark::State& state) { constraint(state, *vocabulary, one); })
          ->Unit(benchmark::kMillisecond);
    }
  }
  return 0;
}();

}  // namespace
