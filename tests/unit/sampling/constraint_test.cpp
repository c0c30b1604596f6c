#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <llm/constraint.hpp>
#include <string>

#include "base/thread_clock.h"
#include "sanitized.h"

namespace llm {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr std::chrono::seconds refusal_time{test::is_sanitized ? 20 : 1};

template <typename Make>
std::string refusal(const Make& make) {
  const auto start = thread_time();
  std::string message = "accepted";
  try {
    make();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    message = e.message();
  }
  EXPECT_LT(thread_time() - start, refusal_time) << message;
  return message;
}

std::string refused_regex(const std::string& pattern) {
  return refusal([&] { Constraint::regex(pattern); });
}
std::string refused_grammar(const std::string& text) {
  return refusal([&] { Constraint::gbnf(text); });
}

void expect_regex(const std::string& pattern, const std::vector<std::string>& good,
                  const std::vector<std::string>& bad) {
  const Constraint c = Constraint::regex(pattern);
  for (const std::string& text : good) EXPECT_TRUE(c.accepts(text)) << pattern << " on '" << text << "'";
  for (const std::string& text : bad) EXPECT_FALSE(c.accepts(text)) << pattern << " on '" << text << "'";
}

void expect_grammar(const std::string& grammar, const std::vector<std::string>& good,
                    const std::vector<std::string>& bad) {
  const Constraint c = Constraint::gbnf(grammar);
  for (const std::string& text : good) EXPECT_TRUE(c.accepts(text)) << grammar << " on '" << text << "'";
  for (const std::string& text : bad) EXPECT_FALSE(c.accepts(text)) << grammar << " on '" << text << "'";
}

TEST(Regex, MatchesTheWholeText) {
  expect_regex("abc", {"abc"}, {"", "ab", "abcd", "xabc"});
  expect_regex("^abc$", {"abc"}, {"abcd"});
  expect_regex("^a|b$", {"a", "b"}, {"ab"});
  expect_regex("", {""}, {"a"});
}

TEST(Regex, QuantifiersCount) {
  expect_regex("a{2,4}", {"aa", "aaa", "aaaa"}, {"a", "aaaaa"});
  expect_regex("a{2}", {"aa"}, {"a", "aaa"});
  expect_regex("a{2,}", {"aa", std::string(500, 'a')}, {"a"});
  expect_regex("(ab?)*", {"", "a", "ab", "aab", "aba"}, {"b", "abb"});
  expect_regex("a+?b*?", {"a", "aab"}, {"b"});
  expect_regex("(a*)*", {"", "aaa"}, {"b"});
  expect_regex("(a|b?){3}", {"", "a", "ab", "bbb", "aba"}, {"aaaa"});
  expect_regex("x{,3}", {"x{,3}"}, {"xxx"});
}

TEST(Regex, HugeRepeatsAreCounted) {
  const Constraint c = Constraint::regex("a{1000,1000000}");
  EXPECT_TRUE(c.accepts(std::string(1000, 'a')));
  EXPECT_TRUE(c.accepts(std::string(5000, 'a')));
  EXPECT_FALSE(c.accepts(std::string(999, 'a')));
}

TEST(Regex, ClassesAreUnicode) {
  expect_regex("[^a]", {"b", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"},
               {"a", "", "\xc3", "\xed\xa0\x80", "\xff"});
  expect_regex("[\\u00e0-\\u00ff]+", {"\xc3\xa9\xc3\xa8"}, {"e"});
  expect_regex("\\p{Lu}\\p{L}*", {"Abc", "\xc3\x89t\xc3\xa9"}, {"abc", "1"});
  expect_regex(".", {"x", "\xc3\xa9"}, {"\n"});
  expect_regex("[\\d_a-c-]+", {"1_b-"}, {"d"});
  expect_regex("\\w\\s\\D\\S\\W", {"a bc!"}, {"a b ."});
}

TEST(Regex, WhatCannotBeDecidedIsNamed) {
  EXPECT_THAT(refused_regex("(?=a)b"), HasSubstr("look-ahead"));
  EXPECT_THAT(refused_regex("(?<!a)b"), HasSubstr("look-behind"));
  EXPECT_THAT(refused_regex("(a)\\1"), HasSubstr("back reference"));
  EXPECT_THAT(refused_regex("\\bword"), HasSubstr("word boundary"));
  EXPECT_THAT(refused_regex("(a"), HasSubstr("column 3: a '(' without ')'"));
  EXPECT_THAT(refused_regex("a)"), HasSubstr("column 2"));
  EXPECT_THAT(refused_regex("[a"), HasSubstr("without ']'"));
  EXPECT_THAT(refused_regex("*a"), HasSubstr("nothing to repeat"));
  EXPECT_THAT(refused_regex("a{3,2}"), HasSubstr("wrong way round"));
  EXPECT_THAT(refused_regex("a^b"), HasSubstr("'^' inside"));
  EXPECT_THAT(refused_regex("[^\\s\\S]"), HasSubstr("no finite text"));
}

TEST(Regex, HostilePatternsAreRefusedByName) {
  EXPECT_THAT(refused_regex(std::string(60000, '(') + std::string(60000, ')')), HasSubstr("deeper than 100"));
  EXPECT_THAT(refused_regex("a{2000000}"), HasSubstr("above 1000000"));
  EXPECT_THAT(refused_regex(std::string((1 << 20) + 1, 'a')), HasSubstr("at most 1048576"));
  std::string nested = "a?";
  for (int i = 0; i < 90; ++i) nested = "(" + nested + "b?)*";
  EXPECT_THAT(refused_regex(nested), AnyOf(HasSubstr("more than"), HasSubstr("longer than")));
}

TEST(Regex, AmbiguityHasALimitAndDoesNotHang) {
  // Every 'a' may begin the counted part.
  const Constraint c = Constraint::regex("(a|b)*a(a|b){1000}");
  EXPECT_TRUE(c.accepts(std::string(1001, 'a')));
  const Constraint d = Constraint::regex("((a|aa){1,100}){1,100}b");
  EXPECT_THAT(refusal([&] { d.accepts(std::string(5000, 'a')); }), HasSubstr("ways to read"));
}

TEST(Choice, AcceptsTheChoicesOnly) {
  const Constraint c = Constraint::choice({"red", "green", "re", "\xff"});
  for (const char* text : {"red", "green", "re", "\xff"}) EXPECT_TRUE(c.accepts(text));
  for (const char* text : {"", "r", "redgreen", "blue"}) EXPECT_FALSE(c.accepts(text));
  EXPECT_THAT(refusal([] { Constraint::choice({}); }), HasSubstr("no choices"));
}

TEST(Grammar, RulesGroupsAndComments) {
  expect_grammar(R"GBNF(# a sum
root  ::= term (("+" | "-") term)*   # left to right
term  ::= num | "(" root ")"
num   ::= [0-9]+
)GBNF",
                 {"1", "1+2-33", "(1+2)-3", "((4))"}, {"", "1+", "(1", "1)"});
}

TEST(Grammar, AlternativesMayGoOnInTheNextLine) {
  expect_grammar("root ::= \"a\"\n  | \"b\"\n  | (\n \"c\" |\n \"d\" )\nother ::= \"x\"", {"a", "b", "c", "d"}, {"x"});
}

TEST(Grammar, RepetitionsAndEscapes) {
  expect_grammar("root ::= [a-z]{2,3} \"\\n\" \"\\x41\"? \"\\u00e9\"* .", {"ab\nx", "abc\nA\xc3\xa9!", "ab\n\xc3\xa9"},
                 {"a\nx", "abcd\nx"});
  expect_grammar("root ::= \"a\"{2} \"b\"{1,} [^\\]\\\\]", {"aabz", "aabbz"}, {"abz", "aab]", "aab\\"});
  expect_grammar("root ::= \"\" | \"a\" root", {"", "aaa"}, {"b"});
}

TEST(Grammar, RecursionNests) {
  expect_grammar("root ::= \"(\" root \")\" | \"\"", {"", "()", std::string(200, '(') + std::string(200, ')')},
                 {"(", "())"});
  // The same language as its reverse needs every way to read at once.
  expect_grammar("root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"c\"", {"c", "aca", "abcba"}, {"abcab"});
}

TEST(Grammar, JsonAsLlamaCppWritesIt) {
  expect_grammar(R"GBNF(root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
)GBNF",
                 {R"({"a": [1, 2.5e3, "x\u00e9\n"], "b": {"c": null}})", "{}"}, {"[]", R"({"a" 1})", R"({"a": 01})"});
}

TEST(Grammar, MistakesHaveAPlace) {
  EXPECT_THAT(refused_grammar("root ::= \"a"), HasSubstr("line 1, column 12"));
  EXPECT_THAT(refused_grammar("root ::= \"a\"\nroot ::= \"b\""), HasSubstr("defined twice"));
  EXPECT_THAT(refused_grammar("root ::= x"), HasSubstr("rule 'x' is used but not defined"));
  EXPECT_THAT(refused_grammar("a ::= \"x\""), HasSubstr("no rule 'root'"));
  EXPECT_THAT(refused_grammar("root = \"a\""), HasSubstr("expected '::='"));
  EXPECT_THAT(refused_grammar("root ::= (\"a\""), HasSubstr("expected ')'"));
  EXPECT_THAT(refused_grammar("root ::= \"a\" )"), HasSubstr("end of the rule"));
}

TEST(Grammar, LeftRecursionIsRefusedByRule) {
  EXPECT_THAT(refused_grammar("root ::= root \"a\" | \"b\""), HasSubstr("rule 'root' is left-recursive"));
  EXPECT_THAT(refused_grammar("root ::= x \"a\"\nx ::= \"b\"? root | \"c\""), HasSubstr("left-recursive"));
  EXPECT_THAT(refused_grammar("root ::= (\"\" root | \"a\")"), HasSubstr("left-recursive"));
}

TEST(Grammar, EndlessRulesAreRefused) {
  EXPECT_THAT(refused_grammar("root ::= \"a\" root"), HasSubstr("no finite text"));
  expect_grammar("root ::= \"a\" | x\nx ::= \"b\" x", {"a"}, {"b"});
}

TEST(Grammar, HostileGrammarsAreRefusedByName) {
  EXPECT_THAT(refused_grammar("root ::= " + std::string(60000, '(') + "\"a\""), HasSubstr("deeper than 100"));
  EXPECT_THAT(refused_grammar("root ::= \"a\"" + std::string(5000, '*')), HasSubstr("quantifiers"));
  EXPECT_THAT(refused_grammar("root ::= \"a\"{1,99999999}"), HasSubstr("above 1000000"));
  std::string chain = "root ::= a0\n";
  for (int i = 0; i < 20000; ++i) chain += fmt::format("a{} ::= a{} a{}\n", i, i + 1, i + 1);
  EXPECT_NE(refused_grammar(chain + "a20000 ::= \"x\""), "");
}

}  // namespace
}  // namespace llm
