#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <llm/constraint.hpp>
#include <string>
#include <vector>

#include "base/thread_clock.h"
#include "sanitized.h"

namespace llm {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

void expect_schema(const std::string& schema, const std::vector<std::string>& good,
                   const std::vector<std::string>& bad) {
  const Constraint c = Constraint::json_schema(schema, {});
  for (const std::string& text : good) EXPECT_TRUE(c.accepts(text)) << schema << " on " << text;
  for (const std::string& text : bad) EXPECT_FALSE(c.accepts(text)) << schema << " on " << text;
}

constexpr std::chrono::seconds refusal_time{test::is_sanitized ? 20 : 1};

std::string refused(const std::string& schema, bool lax = false) {
  const auto start = thread_time();
  std::string message = "accepted";
  try {
    Constraint::json_schema(schema, {.lax = lax});
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    message = e.message();
  }
  EXPECT_LT(thread_time() - start, refusal_time) << message;
  return message;
}

TEST(Schema, Types) {
  expect_schema(R"({"type":"null"})", {"null"}, {"nul", "true", ""});
  expect_schema(R"({"type":"boolean"})", {"true", "false"}, {"null", "True"});
  expect_schema(R"({"type":"integer"})", {"0", "-1", "12345678901234567890", "1.0"}, {"1.5", "01", "-", "+1", "1e3"});
  expect_schema(R"({"type":"number"})", {"0", "-0.5", "1e-07", "1.5e+300", "123.25"}, {"1.", ".5", "NaN", "00", "1e"});
  expect_schema(R"({"type":["string","null"]})", {"\"x\"", "null"}, {"1"});
  expect_schema("true", {"1", "[]", R"({"a":[1,{"b":null}]})"}, {"", "x"});
}

TEST(Schema, StringsDecodeEscapesAndUtf8) {
  expect_schema(R"({"type":"string","maxLength":1})",
                {"\"\xc3\xa9\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\n\"", "\"\""},
                {"\"ab\"", "\"\\ud83d\"", "\"\n\"", "\"\xc3\"", "\"\\u0061\"", "\"\\x\""});
  expect_schema(R"({"const":"\u00e9\n"})", {"\"\xc3\xa9\\n\"", "\"\\u00e9\\u000a\""}, {"\"e\\n\"", "\"\xc3\xa9\""});
}

TEST(Schema, PatternWithLength) {
  expect_schema(R"({"type":"string","pattern":"^(ab)*$","minLength":3,"maxLength":6})", {"\"abab\"", "\"ababab\""},
                {"\"\"", "\"ab\"", "\"abababab\"", "\"aba\""});
  expect_schema(R"({"type":"string","pattern":"b"})", {"\"abc\"", "\"b\""}, {"\"ac\""});
  // No length of the pattern fits: nothing is left.
  EXPECT_THAT(refused(R"({"type":"string","pattern":"^(abc)*$","minLength":4,"maxLength":5})"),
              HasSubstr("no value satisfies it"));
  EXPECT_THAT(refused(R"({"allOf":[{"type":"string","pattern":"^a"},{"pattern":"^b"}]})"), HasSubstr("no value"));
}

TEST(Schema, Formats) {
  const auto format = [](const std::string& name, const std::vector<std::string>& good,
                         const std::vector<std::string>& bad) {
    const Constraint c = Constraint::json_schema(R"({"type":"string","format":")" + name + "\"}", {});
    for (const std::string& text : good) EXPECT_TRUE(c.accepts("\"" + text + "\"")) << name << " on " << text;
    for (const std::string& text : bad) EXPECT_FALSE(c.accepts("\"" + text + "\"")) << name << " on " << text;
  };
  format("date", {"2024-02-29", "2023-12-31"}, {"2023-02-29", "1900-02-29", "2023-13-01", "2023-04-31"});
  format("time", {"23:59:59Z", "01:02:03.5+02:00"}, {"24:00:00Z", "01:02:03"});
  format("date-time", {"2024-01-01T00:00:00Z"}, {"2024-01-01", "2024-01-01 00:00:00Z"});
  format("duration", {"P1Y2M", "PT5S", "P3W"}, {"P", "1Y", "PT"});
  format("uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567e89b12d3a456426614174000"});
  format("email", {"a.b@example.org"}, {"a@", "@b", "a..b@c"});
  format("ipv4", {"127.0.0.1", "255.255.255.255"}, {"256.0.0.1", "1.2.3", "01.2.3.4"});
  format("ipv6", {"::1", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8"}, {":::", "1::2::3", "12345::"});
  format("uri", {"https://example.org/a?b=c#d", "mailto:a@b.c"}, {"//x", "a b", "http://[1"});
  format("hostname", {"example.org"}, {"-a.b", "a..b"});
}

TEST(Schema, NumberBounds) {
  expect_schema(R"({"type":"integer","minimum":-5,"maximum":120})", {"-5", "0", "7", "99", "120"},
                {"-6", "121", "200", "-10", "1e2"});
  expect_schema(R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10})", {"1", "9"}, {"0", "10", "-1"});
  expect_schema(R"({"type":"number","minimum":0.5,"maximum":2})", {"0.5", "1", "1.999", "2", "2.0", "5e-1"},
                {"0.4", "2.01", "3", "-1", "1e1"});
  expect_schema(R"({"type":"integer","multipleOf":7,"minimum":10,"maximum":22})", {"14", "21"}, {"7", "15", "28", "2"});
  expect_schema(R"({"type":"number","multipleOf":0.25,"minimum":0})", {"0", "0.25", "1.5", "12.75"},
                {"0.3", "1.2", "-1"});
  EXPECT_THAT(refused(R"({"type":"integer","minimum":3,"maximum":2})"), HasSubstr("no value"));
  EXPECT_THAT(refused(R"({"type":"integer","multipleOf":10,"minimum":1,"maximum":9})"), HasSubstr("no value"));
}

// Sixteen digits name this number, a common printer of doubles takes seventeen.
TEST(Schema, NumbersAreTheirShortestText) {
  expect_schema(R"({"const":-142.4548107689359})", {"-142.4548107689359"}, {"-142.454810768936"});
  expect_schema(R"({"type":"number","minimum":142.4548107689359,"maximum":142.4548107689359})", {"142.4548107689359"},
                {"142.4548107689358"});
  expect_schema(R"({"enum":[0,"x"]})", {"0", "-0", "0.0", "-0.0", "\"x\""}, {"-1", "00"});
}

TEST(Schema, Arrays) {
  expect_schema(R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
                {"[1]", "[1,2]", "[1, 2, 3]", "[\n  1,\n  2\n]"}, {"[]", "[1,2,3,4]", "[1,]", "[\"a\"]", "[1  ,2]"});
  expect_schema(R"({"type":"array","prefixItems":[{"type":"string"},{"type":"null"}],"items":false})",
                {"[]", "[\"a\"]", "[\"a\",null]"}, {"[null]", "[\"a\",null,1]"});
  expect_schema(R"({"items":[{"type":"string"}],"additionalItems":{"type":"integer"}})", {"[\"a\",1,2]"},
                {"[\"a\",\"b\"]"});
}

TEST(Schema, ObjectsInAnyOrder) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{}},"required":["a","b"],"additionalProperties":false})";
  expect_schema(
      schema,
      {R"({"a":1,"b":"x"})", R"({"b": "x", "a": 1})", R"({"c":[],"b":"","a":0})", "{\n  \"a\": 1,\n  \"b\": \"x\"\n}"},
      {R"({"a":1})", R"({"a":1,"a":2,"b":"x"})", R"({"a":1,"b":"x","d":1})", R"({"a":"1","b":"x"})", "{}"});
  expect_schema(
      R"({"type":"object","patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":{"type":"string"}})",
      {"{}", R"({"n_x":1,"y":"z"})"}, {R"({"n_x":"1"})", R"({"y":1})"});
  expect_schema(R"({"type":"object","minProperties":2,"maxProperties":3})",
                {R"({"a":1,"b":2})", R"({"a":1,"b":2,"c":3})"},
                {"{}", R"({"a":1})", R"({"a":1,"a":2})", R"({"a":1,"b":2,"c":3,"d":4})"});
}

TEST(Schema, ValuesAndAlternatives) {
  expect_schema(R"({"enum":["a",1,null,[1,"x"],{"k":true}]})", {"\"a\"", "1", "null", "[1, \"x\"]", R"({"k": true})"},
                {"\"b\"", "2", "[1]", "{}"});
  expect_schema(R"({"type":"string","enum":["a",1]})", {"\"a\""}, {"1"});
  expect_schema(R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":2}]})", {"5", "\"ab\""},
                {"\"abc\"", "null"});
  expect_schema(
      R"({"oneOf":[{"type":"object","properties":{"t":{"const":"x"}},"required":["t"]},{"type":"object","properties":{"t":{"const":"y"},"v":{"type":"integer"}},"required":["t","v"]}]})",
      {R"({"t":"x"})", R"({"t":"y","v":1})"}, {R"({"t":"y"})", R"({"t":"z"})"});
  expect_schema(
      R"({"allOf":[{"type":"object","properties":{"a":{"minimum":3}}},{"properties":{"a":{"type":"integer","maximum":4}},"required":["a"]}]})",
      {R"({"a":3})", R"({"a":4,"b":1})"}, {R"({"a":5})", "{}"});
  expect_schema(R"({"not":{"type":["object","array"]}})", {"1", "\"x\""}, {"{}", "[]"});
}

TEST(Schema, References) {
  const std::string tree =
      R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}}})";
  expect_schema(tree, {R"({"v":1,"next":null})", R"({"v":1,"next":{"next":null,"v":2}})"},
                {R"({"v":1})", R"({"v":1,"next":{}})"});
  EXPECT_THAT(refused(R"({"$ref":"#"})"), HasSubstr("circle"));
  EXPECT_THAT(refused(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})"), HasSubstr("no value"));
  EXPECT_THAT(refused(R"({"$ref":"#/$defs/x"})"), HasSubstr("'#/$defs/x' is not in the schema"));
  EXPECT_THAT(refused(R"({"$ref":"http://example.org/x"})"), HasSubstr("outside the schema"));
}

TEST(Schema, UnsupportedKeywordsAreNamedByPathUnlessLax) {
  const std::string schema = R"({"type":"object","properties":{"a":{"type":"array","uniqueItems":true}}})";
  EXPECT_EQ(refused(schema), "json schema: #/properties/a/uniqueItems: 'uniqueItems' is not supported");
  EXPECT_EQ(refused(schema, true), "accepted");
  EXPECT_THAT(refused(R"({"minLenght":1})"), HasSubstr("#/minLenght"));
  EXPECT_THAT(refused(R"({"oneOf":[{"type":"integer"},{"minimum":2}]})"), HasSubstr("exclude each other"));
  EXPECT_THAT(refused(R"({"type":"text"})"), HasSubstr("expected the name of a JSON type"));
  EXPECT_THAT(refused("{"), HasSubstr("not JSON, at byte"));
  // What cannot be decided in general is decided for given values.
  expect_schema(R"({"enum":[1,2,3],"not":{"const":2}})", {"1", "3"}, {"2"});
}

TEST(Schema, HostileSchemasAreRefusedByName) {
  EXPECT_THAT(refused(std::string(50000, '[') + std::string(50000, ']')), HasSubstr("nested deeper than 100"));
  std::string alternatives;
  for (int i = 0; i < 30; ++i) {
    alternatives += std::string(i ? "," : "") + R"({"anyOf":[{"minLength":)" + std::to_string(i) + R"(},{"minimum":)" +
                    std::to_string(i) + "}]}";
  }
  EXPECT_THAT(refused("{\"allOf\":[" + alternatives + "]}"), HasSubstr("more than 512 alternatives"));
  EXPECT_THAT(refused(R"({"type":"string","pattern":"^(a|b)*a(a|b){30}$"})"),
              AnyOf(HasSubstr("more than"), HasSubstr("longer than")));
  EXPECT_THAT(refused(R"({"type":"string","pattern":"(a{1000}){1000}"})"),
              AnyOf(HasSubstr("more than"), HasSubstr(test::is_sanitized ? "longer than" : "more than")));
  expect_schema(R"({"type":"string","maxLength":2000000000})", {"\"a\""}, {});
  expect_schema(R"({"type":"array","minItems":3000,"maxItems":100000000})", {}, {"[]"});
}

TEST(Schema, AnyObject) {
  const Constraint c = Constraint::json_object();
  EXPECT_TRUE(c.accepts(R"({"a": {"b": [1, 2.5, "x", null, true]}})"));
  EXPECT_FALSE(c.accepts("[]"));
  std::string deep = "1";
  for (int i = 0; i < 60; ++i) deep = "{\"a\":" + deep + "}";
  EXPECT_TRUE(c.accepts(deep));
}

}  // namespace
}  // namespace llm
