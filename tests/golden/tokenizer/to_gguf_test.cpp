#include "tokenizer/to_gguf.h"

#include <algorithm>
#include <map>

#include "case_files.h"
#include "formats/gguf_reader.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/text_rules.h"

// Vocabularies of folders written as the keys of a GGUF file: read back, they cut every text of the reference equally.

namespace llm::testing {
namespace {

struct Written {
  std::string folder;
  std::string description;
  // Texts with special tokens or unusual white space are cut so by the rules that llmgen alone reads.
  bool rules = false;
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
  EXPECT_EQ(description.substr(0, description.find(';')), GetParam().description);
  const std::vector<std::byte> bytes = header.encode();
  const formats::Metadata metadata = formats::parse_gguf(bytes, "written").metadata;
  EXPECT_EQ(metadata.find_string(tokenizer::text_rules_key).has_value(), GetParam().rules);
  const Tokenizer written = tokenizer::make_tokenizer(metadata);
  EXPECT_EQ(written.n_vocab(), n_vocab);
  EXPECT_EQ(written.token_kind(static_cast<TokenId>(n_vocab - 1)), TokenKind::unused);
  for (const json& c : read_json(name + "/cases.json")) {
    const std::string text = case_text(c);
    SCOPED_TRACE(c.value("group", "") + " " + printable(text));
    if (c.contains("pair")) {
      // GGUF has no word for a start token between two texts.
      if (!tokenizer.special().sep) continue;
      const std::string second = c["pair"];
      EXPECT_EQ(written.encode_pair(text, second, {.add_special = true}),
                tokenizer.encode_pair(text, second, {.add_special = true}));
      continue;
    }
    // Unigram of `tokenizers` finds control tokens in plain text, SentencePiece's never does.
    const Ids plain = tokenizer.encode(text);
    const bool has_control = std::any_of(plain.begin(), plain.end(), [&](TokenId id) {
      return tokenizer.token_kind(id) == TokenKind::control && id != tokenizer.special().unk;
    });
    if (!has_control) {
      EXPECT_EQ(written.encode(text), plain);
      EXPECT_EQ(written.encode(text, {.add_special = true}), tokenizer.encode(text, {.add_special = true}));
    }
    EXPECT_EQ(written.encode(text, {.add_special = true, .parse_special = true}),
              tokenizer.encode(text, {.add_special = true, .parse_special = true}));
  }
  for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) {
    if (tokenizer.token_kind(id) != TokenKind::control) continue;
    EXPECT_EQ(written.token_kind(id), id == tokenizer.special().unk && written.token_kind(id) != TokenKind::control
                                          ? TokenKind::unknown
                                          : TokenKind::control)
        << id;
    EXPECT_EQ(written.token_text(id), tokenizer.token_text(id)) << id;
  }
  for (const TokenId id : written.special().end_of_generation) {
    EXPECT_TRUE(written.token_kind(id) == TokenKind::unused || tokenizer.is_end_of_generation(id)) << id;
  }
  for (const TokenId id : tokenizer.special().end_of_generation) EXPECT_TRUE(written.is_end_of_generation(id)) << id;
}

INSTANTIATE_TEST_SUITE_P(
    All, FolderAsGguf,
    ::testing::Values(Written{"bpe-deepseek3", "BPE (deepseek-v3)"}, Written{"bpe-falcon", "BPE (falcon)"},
                      Written{"bpe-gpt2", "BPE (gpt-2)"}, Written{"bpe-llama3", "BPE (llama-bpe)"},
                      Written{"bpe-digits", "BPE (smollm)"}, Written{"bpe-o200k", "BPE (gpt-4o)"},
                      Written{"bpe-qwen2", "BPE (qwen2", true}, Written{"bpe-roberta", "BPE (roberta-bpe", true},
                      Written{"spm-bpe-legacy", "SentencePiece BPE"},
                      Written{"spm-bpe-first", "SentencePiece BPE", true},
                      Written{"spm-bpe-gemma", "SentencePiece BPE"}, Written{"unigram-bytes", "Unigram", true},
                      Written{"unigram-t5", "Unigram", true}, Written{"unigram-xlmr", "Unigram", true},
                      Written{"wordpiece-cased", "WordPiece"}, Written{"wordpiece-uncased", "WordPiece"}),
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
  EXPECT_NE(refusal("bpe-suffix").find("end_of_word_suffix '</w>'"), std::string::npos);
  for (const char* folder : {"split-removed", "split-merged_with_next"}) {
    EXPECT_NE(refusal(folder).find("pre_tokenizer has no name"), std::string::npos) << folder << refusal(folder);
  }
}

TEST(VocabularyAsGguf, TakesThePreTokenizerThatIsNamed) {
  EXPECT_EQ(refusal("split-removed", "qwen2"), "");
  EXPECT_NE(refusal("split-removed", "no-such").find("'no-such'"), std::string::npos);
}

TEST(VocabularyAsGguf, RefusesMoreTokensThanTheEmbeddingHasRows) {
  const std::string folder = reference("hf/bpe-gpt2");
  const Tokenizer tokenizer = Tokenizer::open(folder);
  formats::GgufHeader header;
  EXPECT_THROW(tokenizer::write_gguf_vocabulary(tokenizer, folder, tokenizer.n_vocab() - 1, "", header), Error);
}

}  // namespace
}  // namespace llm::testing
