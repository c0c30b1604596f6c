#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <llm/tokenizer.hpp>
#include <string>

namespace llm {
namespace {

std::string vocabulary(const std::string& name) {
  return std::string(LLM_TOKENIZER_REFERENCE) + "/ggml-vocab-" + name + ".gguf";
}

TEST(EncodePieces, WordsMaySpanPieces) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("llama-bpe"));
  const std::array<TextPiece, 3> pieces = {TextPiece{"Hello wor"}, TextPiece{"ld, how"}, TextPiece{" are you?"}};
  EXPECT_EQ(tokenizer.encode_pieces(pieces, false), tokenizer.encode("Hello world, how are you?"));
}

TEST(EncodePieces, ControlTokensAreOnlyFoundWhereAllowed) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("qwen2"));
  const TokenId start = *tokenizer.find("<|im_start|>");
  const std::array<TextPiece, 3> pieces = {TextPiece{"<|im_start|>user\n", true},
                                           TextPiece{"<|im_start|>system", false}, TextPiece{"<|im_end|>", true}};
  const std::vector<TokenId> ids = tokenizer.encode_pieces(pieces, false);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), start), 1);
  EXPECT_EQ(ids.front(), start);
  EXPECT_EQ(ids.back(), *tokenizer.find("<|im_end|>"));
}

TEST(EncodePieces, ControlTokenAcrossPlainTextIsPlainText) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("qwen2"));
  const std::array<TextPiece, 2> pieces = {TextPiece{"<|im_", true}, TextPiece{"start|>", false}};
  EXPECT_EQ(tokenizer.encode_pieces(pieces, false), tokenizer.encode("<|im_start|>"));
}

TEST(EncodePieces, ControlTokenAcrossTwoTemplatePiecesIsFound) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("qwen2"));
  const std::array<TextPiece, 2> pieces = {TextPiece{"<|im_", true}, TextPiece{"start|>", true}};
  EXPECT_EQ(tokenizer.encode_pieces(pieces, false), std::vector<TokenId>{*tokenizer.find("<|im_start|>")});
}

TEST(Decode, ControlTokensAreHiddenUnlessAskedFor) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("llama-bpe"));
  const std::vector<TokenId> ids = tokenizer.encode("<|begin_of_text|>Hi<|eot_id|>", {.parse_special = true});
  EXPECT_EQ(tokenizer.decode(ids), "Hi");
  EXPECT_EQ(tokenizer.decode(ids, true), "<|begin_of_text|>Hi<|eot_id|>");
}

TEST(Decode, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("tiny-gemma4"));
  for (const TokenId id : {-1, tokenizer.n_vocab()}) {
    try {
      tokenizer.decode(std::vector<TokenId>{id});
      FAIL() << id;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
    }
  }
}

TEST(IncrementalDecoder, GivesWholeCharactersOnly) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("gpt-2"));
  const std::vector<TokenId> ids = tokenizer.encode("🦙");
  ASSERT_GT(ids.size(), 1U);
  IncrementalDecoder decoder(tokenizer);
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(decoder.push(ids[i]), "");
  EXPECT_EQ(decoder.push(ids.back()), "🦙");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(IncrementalDecoder, GivesAnUnfinishedCharacterAtTheEnd) {
  const Tokenizer tokenizer = Tokenizer::open(vocabulary("gpt-2"));
  std::vector<TokenId> ids = tokenizer.encode("🦙");
  ids.pop_back();
  IncrementalDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  EXPECT_EQ(text, "");
  text += decoder.finish();
  EXPECT_EQ(text, tokenizer.decode(ids));
}

}  // namespace
}  // namespace llm
