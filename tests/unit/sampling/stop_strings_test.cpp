#include "sampling/stop_strings.h"

#include <gtest/gtest.h>

#include <llm/error.hpp>
#include <random>

namespace llm::sampling {
namespace {

struct Outcome {
  std::string text;
  std::optional<std::string> found;
  bool operator==(const Outcome&) const = default;
};

Outcome feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings matcher(stops);
  Outcome o;
  for (const std::string& piece : pieces) o.text += matcher.push(piece);
  if (!matcher.found()) o.text += matcher.finish();
  o.found = matcher.found();
  return o;
}

TEST(StopStrings, EndBeforeAStopAcrossPieces) {
  EXPECT_EQ(feed({"END"}, {"abcE", "N", "Dxyz"}), (Outcome{"abc", "END"}));
  EXPECT_EQ(feed({"\n\n"}, {"a\nb\n", "\n"}), (Outcome{"a\nb", "\n\n"}));
}

TEST(StopStrings, HeldTextIsFlushedAtTheEnd) {
  EXPECT_EQ(feed({"END"}, {"abcE", "N"}), (Outcome{"abcEN", std::nullopt}));
}

TEST(StopStrings, HoldBackOnlyWhatMayBecomeAStop) {
  StopStrings matcher({"aab"});
  EXPECT_EQ(matcher.push("xa"), "x");
  EXPECT_EQ(matcher.push("a"), "");
  EXPECT_EQ(matcher.push("a"), "a");
  EXPECT_EQ(matcher.push("c"), "aac");
}

TEST(StopStrings, OfSeveralTheFirstCompletedCountsAndTheLongestOfThose) {
  EXPECT_EQ(feed({"b", "abc"}, {"zabc"}), (Outcome{"za", "b"}));
  EXPECT_EQ(feed({"c", "abc"}, {"zabc"}), (Outcome{"z", "abc"}));
}

TEST(StopStrings, NothingIsGivenOutAfterAStop) {
  StopStrings matcher({"x"});
  EXPECT_EQ(matcher.push("ax"), "a");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopStrings, EmptyStopIsRefused) {
  EXPECT_THROW(StopStrings({""}), Error);
}

TEST(StopStrings, DivisionIntoPiecesDoesNotMatter) {
  std::mt19937 random(20);
  for (int round = 0; round < 2000; ++round) {
    const auto word = [&](std::size_t longest) {
      std::string s;
      const std::size_t n = 1 + random() % longest;
      for (std::size_t i = 0; i < n; ++i) s += static_cast<char>('a' + random() % 2);
      return s;
    };
    const std::vector<std::string> stops = {word(6) + "a", word(8), word(5) + "bb"};
    const std::string text = word(30);
    std::vector<std::string> pieces(1);
    for (char c : text) {
      if (random() % 3 == 0) pieces.emplace_back();
      pieces.back() += c;
    }
    const Outcome whole = feed(stops, {text});
    EXPECT_EQ(feed(stops, pieces), whole) << text;
    // The plain search: the earliest end wins, then the earliest start.
    Outcome expected{text, std::nullopt};
    for (std::size_t end = 1; end <= text.size() && !expected.found; ++end) {
      for (std::size_t begin = 0; begin < end && !expected.found; ++begin) {
        for (const std::string& stop : stops) {
          if (text.substr(begin, end - begin) == stop) expected = {text.substr(0, begin), stop};
        }
      }
    }
    EXPECT_EQ(whole, expected) << text;
  }
}

}  // namespace
}  // namespace llm::sampling
