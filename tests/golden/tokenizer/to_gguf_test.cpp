#include "tokenizer/to_gguf.h"

#include <algorithm>
#include <map>

#include "case_files.h"
#include "formats/gguf_reader.h"
#include "tokenizer/from_gguf.h"

// Vocabularies of folders written as the keys of a GGUF file: read back, they cut every text of the reference equally.

namespace llm::testing {
namespace {

struct Written {
  std::string folder;
  std::string description;
};

void PrintTo(const Written& written, std::ostream* out) {
  *out << written.folder;
}

class FolderAsGguf : public ::testing::TestWithParam<Written> {};

TEST_P(FolderAsGguf, CutsTheReferenceTextsEqually) {
  const std::string name = "hf/" + GetParam().folder;
  const Tokenizer tokenizer = Tokenizer::open(reference(name));
  formats::GgufHeader header;
  const std::int64_t n_vocab = tokenizer.n_vocab() + 3;
  const std::string description = tokenizer::write_gguf_vocabulary(tokenizer, reference(name), n_vocab, "", header);
  EXPECT_EQ(description, GetParam().description);
  const std::vector<std::byte> bytes = header.encode();
  const Tokenizer written = tokenizer::make_tokenizer(formats::parse_gguf(bytes, "written").metadata);
  EXPECT_EQ(written.n_vocab(), n_vocab);
  EXPECT_EQ(written.token_kind(static_cast<TokenId>(n_vocab - 1)), TokenKind::unused);
  for (const json& c : read_json(name + "/cases.json")) {
    if (c.contains("pair") || c.contains("bytes_hex")) continue;
    const std::string text = case_text(c);
    SCOPED_TRACE(c.value("group", "") + " " + printable(text));
    EXPECT_EQ(written.encode(text), tokenizer.encode(text));
    EXPECT_EQ(written.encode(text, {.add_special = true}), tokenizer.encode(text, {.add_special = true}));
  }
  for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) {
    if (tokenizer.token_kind(id) != TokenKind::control) continue;
    EXPECT_EQ(written.token_kind(id), TokenKind::control) << id;
    EXPECT_EQ(written.token_text(id), tokenizer.token_text(id)) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FolderAsGguf,
    ::testing::Values(Written{"bpe-deepseek3", "BPE (deepseek-v3)"}, Written{"bpe-falcon", "BPE (falcon)"},
                      Written{"bpe-gpt2", "BPE (gpt-2)"}, Written{"bpe-llama3", "BPE (llama-bpe)"},
                      Written{"bpe-o200k", "BPE (gpt-4o)"}, Written{"bpe-qwen2", "BPE (qwen2)"},
                      Written{"bpe-roberta", "BPE (gpt-2)"}, Written{"spm-bpe-legacy", "SentencePiece BPE"},
                      Written{"spm-bpe-first", "SentencePiece BPE"}, Written{"unigram-t5", "Unigram"},
                      Written{"unigram-xlmr", "Unigram"}, Written{"wordpiece-cased", "WordPiece"},
                      Written{"wordpiece-uncased", "WordPiece"}),
    [](const auto& instance) {
      std::string name = instance.param.folder;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

std::string refusal(const std::string& folder, const std::string& pre = "") {
  const Tokenizer tokenizer = Tokenizer::open(reference("hf/" + folder));
  formats::GgufHeader header;
  try {
    tokenizer::write_gguf_vocabulary(tokenizer, reference("hf/" + folder), tokenizer.n_vocab(), pre, header);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model);
    return error.message();
  }
  return "";
}

TEST(VocabularyAsGguf, RefusesWhatGgufCannotSay) {
  EXPECT_NE(refusal("wordlevel").find("'WordLevel'"), std::string::npos);
  for (const char* folder : {"bpe-digits", "bpe-suffix", "split-removed"}) {
    EXPECT_NE(refusal(folder).find("would be cut otherwise"), std::string::npos) << folder;
  }
}

TEST(VocabularyAsGguf, TakesThePreTokenizerThatIsNamed) {
  EXPECT_EQ(refusal("bpe-digits", "qwen2"), "");
  EXPECT_NE(refusal("bpe-digits", "no-such").find("'no-such'"), std::string::npos);
}

TEST(VocabularyAsGguf, RefusesMoreTokensThanTheEmbeddingHasRows) {
  const std::string folder = reference("hf/bpe-gpt2");
  const Tokenizer tokenizer = Tokenizer::open(folder);
  formats::GgufHeader header;
  EXPECT_THROW(tokenizer::write_gguf_vocabulary(tokenizer, folder, tokenizer.n_vocab() - 1, "", header), Error);
}

}  // namespace
}  // namespace llm::testing
