#include "tokenizer/regex_splitter.h"

#include <gtest/gtest.h>

#include <llm/error.hpp>
#include <string>
#include <vector>

namespace llm::tokenizer {
namespace {

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  std::vector<std::string> found;
  Regex(pattern, "test").for_each_match(text, [&](Regex::Match m) {
    found.push_back(text.substr(m.begin, m.end - m.begin));
  });
  return found;
}

using Texts = std::vector<std::string>;

TEST(Regex, TakesClassesInClassesAndTheirIntersections) {
  EXPECT_EQ(matches("[[a-c][x-z]]+", "abmxyz"), (Texts{"ab", "xyz"}));
  EXPECT_EQ(matches("[a-z&&[^aeiou]]+", "hello"), (Texts{"h", "ll"}));
  EXPECT_EQ(matches("[^a-z&&[^aeiou]]+", "hello"), (Texts{"e", "o"}));
  EXPECT_EQ(matches("[^[a-m]]", "amz"), (Texts{"z"}));
  EXPECT_EQ(matches("[^\\W\\d_]+", "ab1_é"), (Texts{"ab", "é"}));
}

TEST(Regex, ReadsOnigurumasSyntax) {
  EXPECT_EQ(matches("\\h+", "xffz"), (Texts{"ff"}));
  EXPECT_EQ(matches("(?m:.+)", "a\nb"), (Texts{"a\nb"}));
  EXPECT_EQ(matches("a{,2}b", "aab b"), (Texts{"aab", "b"}));
  EXPECT_EQ(matches("x{2}+", "xxxxx"), (Texts{"xxxx"}));
  EXPECT_EQ(matches("\\u00e9", "é"), (Texts{"é"}));
  EXPECT_EQ(matches("[\\x{4e00}-\\x{9fff}]{2}", "ab世界"), (Texts{"世界"}));
  EXPECT_EQ(matches("\\p{^Lu}", "aB"), (Texts{"a"}));
  EXPECT_EQ(matches("\\p{Uppercase_Letter}|[[:digit:]]", "aB1"), (Texts{"B", "1"}));
}

TEST(Regex, KnowsScriptsWithoutTheirExtensions) {
  // U+3001 belongs to several scripts by its extensions, to none by itself.
  EXPECT_EQ(matches("\\p{Han}+", "世、界"), (Texts{"世", "界"}));
}

TEST(Regex, WordsAndSpacesAreUnicode) {
  EXPECT_EQ(matches("\\w+", "naïve क्षि ①"), (Texts{"naïve", "क्षि"}));
  EXPECT_EQ(matches("\\s", "a\u180e\u3000b"), (Texts{"\u3000"}));
  EXPECT_EQ(matches("\\S+", "a\u2009b"), (Texts{"a", "b"}));
}

TEST(Regex, RefusesByNameWhatCannotRun) {
  for (const char* pattern : {"[a", "\\p{Nonsense}", "(?~abc)", "[[:nonsense:]]", "a\\"}) {
    try {
      matches(pattern, "abc");
      FAIL() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::model);
      EXPECT_NE(std::string(error.what()).find("test: regular expression"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace llm::tokenizer
