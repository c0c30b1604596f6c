// Random small tokenizers against the libraries that define them; tools/make_tokenizer_zoo.py makes the file.
#include "case_files.h"
#include "tokenizer/base64.h"
#include "tokenizer/vocabulary_files.h"

namespace llm::testing {
namespace {

std::string joined(const Ids& ids) {
  return fmt::format("{}", fmt::join(ids, " "));
}

void expect_json_case(const Tokenizer& tokenizer, const json& c) {
  const auto text = c["text"].get<std::string>();
  SCOPED_TRACE(printable(text));
  const Ids ids = c["ids"], special = c["ids_special"];
  EXPECT_EQ(joined(tokenizer.encode(text, {.parse_special = true})), joined(ids)) << "ids";
  EXPECT_EQ(joined(tokenizer.encode(text)), joined(c["ids_raw"].get<Ids>())) << "ids_raw";
  EXPECT_EQ(joined(tokenizer.encode(text, {.add_special = true, .parse_special = true})), joined(special))
      << "ids_special";
  if (c.contains("decoded")) {
    EXPECT_EQ(printable(tokenizer.decode(ids, true)), printable(c["decoded"])) << "decoded";
  }
  if (c.contains("decoded_skip")) {
    EXPECT_EQ(printable(tokenizer.decode(special)), printable(c["decoded_skip"])) << "decoded_skip";
  }
  expect_incremental(tokenizer, ids, true, tokenizer.decode(ids, true));
}

void expect_sentencepiece_case(const Tokenizer& tokenizer, const json& c) {
  const auto text = c["text"].get<std::string>();
  SCOPED_TRACE(printable(text));
  const Ids ids = c["ids"];
  EXPECT_EQ(joined(tokenizer.encode(text)), joined(ids));
  if (c.contains("decoded")) {
    EXPECT_EQ(printable(tokenizer.decode(ids)), printable(c["decoded"]));
  }
}

TEST(Zoo, GivesTheIdsAndTextsOfTheLibraries) {
  const json entries = read_json("zoo.json");
  ASSERT_GE(entries.size(), 80u);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    SCOPED_TRACE(fmt::format("entry {}", i));
    const json& entry = entries[i];
    if (entry.contains("tokenizer")) {
      const std::string file = entry["tokenizer"].dump();
      const Tokenizer tokenizer = tokenizer::make_huggingface_tokenizer({file, {}, {}}, "zoo");
      for (const json& c : entry["cases"]) expect_json_case(tokenizer, c);
    } else {
      const auto file = tokenizer::decode_base64(entry["sentencepiece"].get<std::string>());
      ASSERT_TRUE(file);
      const Tokenizer tokenizer = tokenizer::make_sentencepiece_tokenizer(*file, "zoo");
      for (const json& c : entry["cases"]) expect_sentencepiece_case(tokenizer, c);
    }
  }
}

}  // namespace
}  // namespace llm::testing
