#include "tokenizer/hybrid_dna.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tokenizer/bpe.h"

namespace llm::tokenizer {
namespace {

// Single letters, the three tokens of DNA text, and two k-mers with their mark.
class HybridDna : public ::testing::Test {
 protected:
  HybridDna() {
    vocabulary_.reserve(40, 400);
    for (char c = 'A'; c <= 'Z'; ++c) vocabulary_.add(std::string(1, c), TokenKind::normal, 0);
    for (const char* text : {"<dna>", "</dna>", "<oov>", "ACGTAC\xEE\x80\x80", "GGAAAA\xEE\x80\x80"}) {
      vocabulary_.add(text, TokenKind::normal, 0);
    }
    vocabulary_.build_index();
    model_ = make_hybrid_dna(vocabulary_, std::make_unique<Bpe>(vocabulary_, Bpe::Options{}), {});
  }
  std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> ids;
    const auto scratch = model_->make_scratch();
    model_->encode(text, *scratch, ids);
    return ids;
  }

  Vocabulary vocabulary_;
  std::unique_ptr<const Model> model_;
};

constexpr TokenId kOpen = 26, kClose = 27, kUnknown = 28, kAcgtac = 29, kGgaaaa = 30;

TEST_F(HybridDna, SixLettersAreOneTokenBetweenTheTags) {
  EXPECT_EQ(encode("AB<dna>acgtacGG</dna>C"), (std::vector<TokenId>{0, 1, kOpen, kAcgtac, kGgaaaa, kClose, 2}));
}

TEST_F(HybridDna, WhatIsNoKmerIsUnknown) {
  EXPECT_EQ(encode("<dna>ACGTACNNNNNN</dna>"), (std::vector<TokenId>{kOpen, kAcgtac, kUnknown, kClose}));
}

TEST_F(HybridDna, TheEndTagMayBeMissing) {
  EXPECT_EQ(encode("<dna>ACGTAC"), (std::vector<TokenId>{kOpen, kAcgtac}));
  EXPECT_EQ(encode("<dna>"), (std::vector<TokenId>{kOpen}));
}

}  // namespace
}  // namespace llm::tokenizer
