#include <algorithm>

#include "case_files.h"

namespace llm::testing {
namespace {

class SentencePieceModel : public ::testing::TestWithParam<std::string> {};

TEST_P(SentencePieceModel, GivesTheReferenceIdsAndText) {
  const std::string name = "hf/sentencepiece/" + GetParam();
  const Tokenizer tokenizer = Tokenizer::open(reference(name + ".model"));
  for (const json& c : read_json(name + ".cases.json")) {
    const std::string text = case_text(c);
    SCOPED_TRACE(c.value("group", "") + " " + printable(text));
    const Ids wanted = c["ids"];
    EXPECT_EQ(fmt::format("{}", fmt::join(tokenizer.encode(text), " ")), fmt::format("{}", fmt::join(wanted, " ")));
    const std::string decoded = tokenizer.decode(wanted);
    EXPECT_EQ(printable(decoded), printable(c.value("decoded", text)));
    expect_incremental(tokenizer, wanted, false, decoded);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SentencePieceModel,
                         ::testing::Values("bpe-bytes", "bpe-nodummy", "bpe-suffix", "char", "unigram-nmt-nfkc",
                                           "unigram-nodummy-bytes", "unigram-rules", "unigram-user", "word"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace llm::testing
