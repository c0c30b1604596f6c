#include "case_files.h"

namespace llm::testing {
namespace {

TEST(Tiktoken, GivesTheReferenceIds) {
  const Tokenizer tokenizer = Tokenizer::open(reference("hf/tiktoken/own.tiktoken"));
  for (const json& c : read_json("hf/tiktoken/own.cases.json")) {
    const std::string text = case_text(c);
    SCOPED_TRACE(c.value("group", "") + " " + printable(text));
    const Ids plain = c["ids"], special = c.value("ids_allowed_special", plain);
    EXPECT_EQ(fmt::format("{}", fmt::join(tokenizer.encode(text), " ")), fmt::format("{}", fmt::join(plain, " ")));
    EXPECT_EQ(fmt::format("{}", fmt::join(tokenizer.encode(text, {.parse_special = true}), " ")),
              fmt::format("{}", fmt::join(special, " ")));
    EXPECT_EQ(printable(tokenizer.decode(plain)), printable(text));
    expect_incremental(tokenizer, plain, false, text);
  }
}

}  // namespace
}  // namespace llm::testing
