#include <algorithm>

#include "case_files.h"

namespace llm::testing {
namespace {

class HuggingFaceFolder : public ::testing::TestWithParam<std::string> {};

TEST_P(HuggingFaceFolder, GivesTheReferenceIdsAndText) {
  const std::string name = "hf/" + GetParam();
  const Tokenizer tokenizer = Tokenizer::open(reference(name));
  const auto joined = [](const Ids& ids) { return fmt::format("{}", fmt::join(ids, " ")); };
  for (const json& c : read_json(name + "/cases.json")) {
    const std::string text = case_text(c);
    SCOPED_TRACE(c.value("group", "") + " " + printable(text));
    const Ids special = c["ids_special"];
    if (c.contains("pair")) {
      EXPECT_EQ(joined(tokenizer.encode_pair(text, c["pair"].get<std::string>(),
                                             {.add_special = true, .parse_special = true})),
                joined(special));
      continue;
    }
    const Ids ids = c["ids"], raw = c.value("ids_raw", ids);
    EXPECT_EQ(joined(tokenizer.encode(text, {.parse_special = true})), joined(ids)) << "ids";
    EXPECT_EQ(joined(tokenizer.encode(text)), joined(raw)) << "ids_raw";
    EXPECT_EQ(joined(tokenizer.encode(text, {.add_special = true, .parse_special = true})), joined(special))
        << "ids_special";
    const std::string decoded = c.value("decoded", text), skipped = c.value("decoded_skip", decoded);
    EXPECT_EQ(printable(tokenizer.decode(ids, true)), printable(decoded)) << "decoded";
    EXPECT_EQ(printable(tokenizer.decode(special)), printable(skipped)) << "decoded_skip";
    expect_incremental(tokenizer, ids, true, tokenizer.decode(ids, true));
  }
}

INSTANTIATE_TEST_SUITE_P(All, HuggingFaceFolder,
                         ::testing::Values("added-zoo", "bpe-deepseek3", "bpe-digits", "bpe-falcon", "bpe-gpt2",
                                           "bpe-llama3", "bpe-o200k", "bpe-qwen2", "bpe-roberta", "bpe-suffix",
                                           "split-contiguous-invert", "split-isolated", "split-merged_with_next",
                                           "split-merged_with_previous-invert", "split-removed", "spm-bpe-first",
                                           "spm-bpe-gemma", "spm-bpe-legacy", "unigram-bytes", "unigram-t5",
                                           "unigram-xlmr", "wordlevel", "wordpiece-cased", "wordpiece-uncased"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace llm::testing
