#include <gtest/gtest.h>

#include <llm/tokenizer.hpp>
#include <string>
#include <vector>

#include "tokenizer/json_reader.h"
#include "tokenizer/older_unicode.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary_files.h"

namespace llm::tokenizer {
namespace {

Tokenizer open(const std::string& json) {
  return make_huggingface_tokenizer({json, "", ""}, "tokenizer.json");
}

std::string error_of(const std::string& json) {
  try {
    open(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model);
    return error.message();
  }
  return "";
}

std::string word_level(const std::string& vocab) {
  return R"({"model":{"type":"WordLevel","unk_token":"?","vocab":)" + vocab + "}}";
}

TEST(HuggingFaceFile, OfEqualTextsTheLastCounts) {
  const Tokenizer tokenizer = open(word_level(R"({"?":0,"a":1,"b":2,"a":3})"));
  EXPECT_EQ(tokenizer.encode("a"), std::vector<TokenId>{3});
  EXPECT_EQ(tokenizer.token_kind(1), TokenKind::unused);
}

TEST(HuggingFaceFile, ReadsEscapedTexts) {
  const Tokenizer tokenizer = open(word_level(R"({"?":0,"\"\\\/\n":1,"\u00e9":2,"\ud83e\udd99":3})"));
  EXPECT_EQ(tokenizer.token_text(1), "\"\\/\n");
  EXPECT_EQ(tokenizer.token_text(2), "é");
  EXPECT_EQ(tokenizer.token_text(3), "🦙");
}

TEST(HuggingFaceFile, SaysWhatIsWrongInAVocabulary) {
  EXPECT_EQ(error_of(word_level(R"({"?":0,"a":"x"})")), "tokenizer.json: model.vocab.'a': expected a token id");
  EXPECT_EQ(error_of(word_level(R"({"?":-1})")), "tokenizer.json: model.vocab.'?': expected a token id");
  EXPECT_EQ(error_of(R"({"model":{"type":"Unigram","vocab":[["a",1],["b"]]}})"),
            "tokenizer.json: model.vocab: item 1: expected a text and its score");
  EXPECT_EQ(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b c"]}})"),
            "tokenizer.json: model.merges: item 0: expected two texts");
}

TEST(HuggingFaceFile, SaysWhereJsonIsWrong) {
  const std::string whole = word_level(R"({"?":0,"a":1})");
  for (std::size_t n = 1; n < whole.size(); ++n) {
    EXPECT_NE(error_of(whole.substr(0, n)).find("parse error at line 1, column"), std::string::npos) << n;
  }
  for (const char* wrong :
       {R"({"?":01})", R"({"?":0,})", R"({"\x":0})", R"({"\ud800":0})", "{\"\n\":0}", R"({"?" 0})"}) {
    EXPECT_NE(error_of(word_level(wrong)).find("parse error"), std::string::npos) << wrong;
  }
  EXPECT_NE(error_of(whole + "x").find("parse error"), std::string::npos);
  EXPECT_NE(error_of(word_level("{\"\xFF\":0}")), "");
}

TEST(JsonReader, SkipsWholeValues) {
  for (const char* value : {R"({"a":[1,{"b":"}"}]})", R"("\"")", "-1.5e3", "null", "[]"}) {
    const std::string text = std::string(value) + " ,";
    hf::JsonReader reader(text);
    std::string_view raw;
    ASSERT_TRUE(reader.skip(raw)) << value;
    EXPECT_EQ(raw, value);
    EXPECT_EQ(reader.peek(), ',');
  }
  for (const char* value : {"", "[1", "]", "\"a", "{\"a\":"}) {
    hf::JsonReader reader(value);
    std::string_view raw;
    EXPECT_FALSE(reader.skip(raw)) << value;
  }
}

TEST(NormalForms, LongRunsOfMarksAreOrderedInLinearTime) {
  std::string marks = "a", above, below;
  for (int i = 0; i < 200'000; ++i) {
    marks += "\u0301\u0323";
    above += "\u0301";
    below += "\u0323";
  }
  EXPECT_EQ(normalize(marks, NormalForm::nfd), "a" + below + above);
  EXPECT_EQ(normalize(marks, NormalForm::nfc), "\u1EA1" + below.substr(2) + above);
}

TEST(NormalForms, MarksNewerThanTheTablesOfTheLibraryStayWhereTheyAre) {
  EXPECT_EQ(normalize("a\u1ACC\u1DFF", NormalForm::nfc), "a\u1DFF\u1ACC");
  EXPECT_EQ(older::normalize("a\u1ACC\u1DFF", NormalForm::nfc), "a\u1ACC\u1DFF");
  EXPECT_EQ(older::normalize("e\u1ACC\u0301", NormalForm::nfc), "e\u1ACC\u0301");
}

}  // namespace
}  // namespace llm::tokenizer
