#include <gtest/gtest.h>

#include <algorithm>
#include <llm/tokenizer.hpp>
#include <random>
#include <string>
#include <vector>

namespace llm {
namespace {

constexpr unsigned kSeed = 20261124;

std::string reference(const std::string& name) {
  return std::string(LLM_TOKENIZER_REFERENCE) + "/" + name;
}

// Words, white space, digits, characters of all planes and bytes that are no UTF-8.
std::string random_text(std::mt19937& random, bool valid_only) {
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const std::vector<std::string> parts = {" ",    "  ",   "\n",   "\r\n", "\t",  "'s",     "'LL",    "don't",
                                          "12",   "345",  "...",  "the",  "The", "<|x|>",  "é",      "中文",
                                          "🦙", "かな", "한글", "/",    "a_b", "\u0301", "\u00a0", "▁"};
  std::string text;
  for (unsigned n = below(12); n > 0; --n) {
    const unsigned kind = below(10);
    if (kind < 6) {
      text += parts[below(static_cast<unsigned>(parts.size()))];
    } else if (kind < 8) {
      for (unsigned k = below(6); k > 0; --k) text += static_cast<char>('a' + below(26));
    } else if (kind == 8 || valid_only) {
      const unsigned c = 0x80 + below(0x10000 - 0x80);
      if (c >= 0xD800 && c < 0xE000) continue;
      if (c < 0x800) {
        text += static_cast<char>(0xC0 | (c >> 6));
      } else {
        text += static_cast<char>(0xE0 | (c >> 12));
        text += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
      }
      text += static_cast<char>(0x80 | (c & 0x3F));
    } else {
      for (unsigned k = 1 + below(4); k > 0; --k) text += static_cast<char>(below(256));
    }
  }
  return text;
}

TEST(ByteLevel, DecodingGivesBackAnyBytes) {
  std::mt19937 random(kSeed);
  for (const char* name :
       {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-bpe.gguf", "ggml-vocab-qwen2.gguf", "hf/tiktoken/own.tiktoken"}) {
    const Tokenizer tokenizer = Tokenizer::open(reference(name));
    for (int i = 0; i < 25'000; ++i) {
      const std::string text = random_text(random, false);
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name << ", seed " << kSeed << ", text " << i;
    }
  }
}

TEST(Decoding, AnySplitOfTheIdsGivesTheSameBytes) {
  std::mt19937 random(kSeed + 1);
  for (const char* name :
       {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf", "ggml-vocab-bert-bge.gguf", "ggml-vocab-tiny-t5.gguf",
        "ggml-vocab-tiny-gemma4.gguf", "hf/bpe-suffix", "hf/spm-bpe-first", "hf/unigram-bytes", "hf/wordpiece-cased",
        "hf/sentencepiece/unigram-user.model"}) {
    const Tokenizer tokenizer = Tokenizer::open(reference(name));
    for (int i = 0; i < 300; ++i) {
      std::vector<TokenId> ids;
      for (unsigned n = random() % 20; n > 0; --n) {
        ids.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(tokenizer.n_vocab())));
      }
      for (const bool special : {false, true}) {
        IncrementalDecoder decoder(tokenizer, special);
        std::string text;
        for (const TokenId id : ids) text += decoder.push(id);
        text += decoder.finish();
        ASSERT_EQ(text, tokenizer.decode(ids, special)) << name << ", seed " << kSeed + 1 << ", ids " << i;
      }
    }
  }
}

TEST(EncodePieces, PlainPiecesGiveTheIdsOfTheWholeText) {
  std::mt19937 random(kSeed + 2);
  for (const char* name : {"ggml-vocab-llama-bpe.gguf", "ggml-vocab-llama-spm.gguf", "hf/bpe-qwen2"}) {
    const Tokenizer tokenizer = Tokenizer::open(reference(name));
    for (int i = 0; i < 1000; ++i) {
      const std::string text = random_text(random, false);
      std::vector<TextPiece> pieces;
      for (std::string_view rest = text; !rest.empty();) {
        const std::size_t n = 1 + random() % rest.size();
        pieces.push_back({rest.substr(0, n)});
        rest.remove_prefix(n);
      }
      ASSERT_EQ(tokenizer.encode_pieces(pieces, false), tokenizer.encode(text)) << name << ", text " << i;
    }
  }
}

// The same text in one word longer than a window, and in words short enough for the scan: merging by windows must not
// show. SentencePiece's BPE has no words of its own, so that its text can be as long as one likes.
TEST(LongWords, WindowsGiveTheIdsOfOneMerge) {
  std::mt19937 random(kSeed + 3);
  const Tokenizer tokenizer = Tokenizer::open(reference("ggml-vocab-gpt-2.gguf"));
  for (const std::string alphabet : {"a", "ab", "abcdefghij", "etaoinshrdlu"}) {
    std::string text;
    while (text.size() < 200'000) text += alphabet[random() % alphabet.size()];
    const std::vector<TokenId> whole = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(whole), text);
    // Around every place where windows may meet the tokens are those of the surroundings alone.
    for (const std::size_t meet : {65536UL, 131072UL}) {
      const std::size_t begin = meet - 3000;
      std::size_t at = 0, first = 0;
      while (at < begin) at += tokenizer.token_bytes(whole[first++]).size();
      const std::size_t start = at;
      std::size_t last = first;
      while (at < begin + 6000) at += tokenizer.token_bytes(whole[last++]).size();
      const std::vector<TokenId> part(whole.begin() + static_cast<std::ptrdiff_t>(first),
                                      whole.begin() + static_cast<std::ptrdiff_t>(last));
      EXPECT_EQ(tokenizer.encode(text.substr(start, at - start)), part) << alphabet << ", seed " << kSeed + 3;
    }
  }
}

TEST(LongTexts, TimeAndStackDoNotDependOnTheShape) {
  constexpr std::size_t kBytes = 300'000;
  for (const char* name : {"ggml-vocab-llama-bpe.gguf", "ggml-vocab-falcon.gguf", "ggml-vocab-deepseek-coder.gguf",
                           "ggml-vocab-llama-spm.gguf", "ggml-vocab-tiny-t5-user.gguf", "ggml-vocab-tiny-gemma4.gguf",
                           "ggml-vocab-bert-bge.gguf", "hf/bpe-deepseek3", "hf/unigram-xlmr", "hf/split-removed"}) {
    const Tokenizer tokenizer = Tokenizer::open(reference(name));
    for (const std::string unit : {"a", " ", "7", "\u0301", "\n", "<", "'", "中", "Ab", " a"}) {
      std::string text;
      while (text.size() < kBytes) text += unit;
      EXPECT_FALSE(tokenizer.encode(text).empty() && unit == "a") << name << " " << unit;
    }
  }
}

}  // namespace
}  // namespace llm
