#include "sampling/constraint_state.h"

#include <gtest/gtest.h>

#include <random>

#include "sampling/constraint/machine.h"

namespace llm::sampling {
namespace {

// Token 0 ends the answer, 1 is a control token, then bytes, pieces and duplicates.
std::vector<std::string> vocabulary_words() {
  std::vector<std::string> words = {"", ""};
  for (int b = 0; b < 256; ++b) words.emplace_back(1, static_cast<char>(b));
  for (const char* w : {"{\"", "\": ", "\":\"", "name", "na", "\"}", "true", "ab", "abc", "ab", "\xc3\xa9", "\xa9x",
                        "a long token of more than sixteen bytes", "aaaaaaaaaaaaaaaaaaaaaaaa", ", \"", "12"}) {
    words.emplace_back(w);
  }
  return words;
}

class States : public testing::Test {
 protected:
  std::vector<std::string> words_ = vocabulary_words();
  std::vector<TokenId> ends_ = {0};
  TokenTable table_{static_cast<std::int32_t>(words_.size()),
                    [this](TokenId id) { return std::string_view(words_[static_cast<std::size_t>(id)]); }, ends_};
  VocabularyIndex index_{table_};

  TokenId id(const std::string& word) const {
    return static_cast<TokenId>(std::find(words_.begin() + 2, words_.end(), word) - words_.begin());
  }
  // Every token tried alone.
  TokenMask plain_mask(const ConstraintState& state) const {
    TokenMask mask(table_.n_vocab());
    for (TokenId t = 0; t < table_.n_vocab(); ++t) {
      ConstraintState copy = state;
      if (copy.advance(t)) mask.set(t);
    }
    return mask;
  }
};

// A point is offered only where a digit may follow it.
TEST_F(States, NumbersNeverEndWithoutADigitAfterThePoint) {
  int n_points = 0;
  for (const char* schema : {R"({"type":"integer"})", R"({"type":"number","multipleOf":3})",
                             R"({"type":"number","multipleOf":0.25})", R"({"type":"number"})"}) {
    for (const int n_digits : {1, 14, 15, 16, 17, 25}) {
      ConstraintState state(Constraint::json_schema(schema, {}), index_);
      for (int i = 0; i < n_digits; ++i) ASSERT_TRUE(state.advance(id("9")));
      if (!state.mask()->test(id("."))) continue;
      ++n_points;
      ASSERT_TRUE(state.advance(id(".")));
      EXPECT_GT(state.mask()->count(), 0) << schema << ", " << n_digits << " digits";
    }
  }
  EXPECT_GE(n_points, 12);
}

TEST_F(States, MasksEqualTryingEveryToken) {
  const std::vector<Constraint> constraints = {
      Constraint::json_object(),
      Constraint::json_schema(
          R"({"type":"object","properties":{"name":{"type":"string","maxLength":30},"n":{"type":"integer","maximum":1200}},"required":["name"]})",
          {}),
      Constraint::json_schema(R"({"type":"string","minLength":20,"maxLength":40})", {}),
      Constraint::json_schema(R"({"type":"array","items":{"type":"integer"},"minItems":18,"maxItems":40})", {}),
      Constraint::regex("a{3,60}b?|\xc3\xa9+x*"),
      Constraint::choice({"abc", "abd", "true"}),
      Constraint::gbnf("root ::= \"a\" root \"b\" | [^a]{0,20}")};
  std::mt19937 random(7);
  for (const Constraint& constraint : constraints) {
    for (int walk = 0; walk < 6; ++walk) {
      ConstraintState state(constraint, index_);
      for (int step = 0; step < 40; ++step) {
        const auto mask = state.mask();
        ASSERT_EQ(*mask, plain_mask(state));
        ASSERT_GT(mask->count(), 0);
        EXPECT_EQ(mask->test(0), state.can_end());
        EXPECT_FALSE(mask->test(1));
        std::vector<TokenId> allowed;
        for (TokenId t = 1; t < table_.n_vocab(); ++t) {
          if (mask->test(t)) allowed.push_back(t);
        }
        if (allowed.empty()) break;
        ASSERT_TRUE(state.advance(allowed[random() % allowed.size()]));
      }
    }
  }
}

TEST_F(States, CopiesAreCheckpoints) {
  ConstraintState state(Constraint::choice({"abc", "abd"}), index_);
  ASSERT_TRUE(state.advance(id("ab")));
  const ConstraintState checkpoint = state;
  ASSERT_TRUE(state.advance("c"));
  EXPECT_TRUE(state.can_end());
  EXPECT_TRUE(state.must_end());
  state = checkpoint;
  EXPECT_FALSE(state.can_end());
  EXPECT_TRUE(state.advance("d"));
}

TEST_F(States, RefusedTokensChangeNothing) {
  ConstraintState state(Constraint::choice({"abc"}), index_);
  EXPECT_FALSE(state.advance("x"));
  EXPECT_FALSE(state.advance(TokenId{0}));
  EXPECT_FALSE(state.advance(TokenId{1}));
  EXPECT_TRUE(state.advance("abc"));
  EXPECT_TRUE(state.advance(TokenId{0}));
}

TEST_F(States, ForcedBytesGoAsFarAsNothingIsFree) {
  const Constraint c = Constraint::json_schema(
      R"({"type":"object","properties":{"name":{"type":"boolean"}},"required":["name"],"additionalProperties":false})",
      {});
  ConstraintState state(c, index_);
  EXPECT_EQ(state.forced_bytes(), "{");
  ASSERT_TRUE(state.advance("{\""));
  EXPECT_EQ(state.forced_bytes(), "name\":");
  // The last token, "\":", might be the beginning of "\": ": it is left to the model.
  const std::vector<TokenId> forced = state.forced_tokens();
  ASSERT_FALSE(forced.empty());
  EXPECT_EQ(forced.front(), id("name"));
  std::string text;
  for (TokenId t : forced) text += words_[static_cast<std::size_t>(t)];
  EXPECT_EQ(std::string("name\":").compare(0, text.size(), text), 0);
}

TEST_F(States, PartsOfCharactersAreTokens) {
  ConstraintState state(Constraint::regex("\xc3\xa9x"), index_);
  EXPECT_TRUE(state.mask()->test(id("\xc3")));
  EXPECT_TRUE(state.mask()->test(id("\xc3\xa9")));
  ASSERT_TRUE(state.advance("\xc3"));
  EXPECT_TRUE(state.mask()->test(id("\xa9x")));
  EXPECT_EQ(state.mask()->count(), 2);
}

TEST_F(States, LongStringsShareTheirMasks) {
  ConstraintState state(Constraint::json_schema(R"({"type":"string","maxLength":1000})", {}), index_);
  ASSERT_TRUE(state.advance("\""));
  ASSERT_TRUE(state.advance(std::string(960, 'a')));
  EXPECT_TRUE(state.mask()->test(id("a long token of more than sixteen bytes")));
  ASSERT_TRUE(state.advance("aaa"));
  EXPECT_FALSE(state.mask()->test(id("a long token of more than sixteen bytes")));
  EXPECT_TRUE(state.mask()->test(id("aaaaaaaaaaaaaaaaaaaaaaaa")));
  ASSERT_TRUE(state.advance(std::string(37, 'a')));
  EXPECT_EQ(*state.mask(), plain_mask(state));
  EXPECT_EQ(state.forced_bytes(), "\"");
}

}  // namespace
}  // namespace llm::sampling
