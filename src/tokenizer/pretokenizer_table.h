#ifndef TOKENIZER_PRETOKENIZER_TABLE_H
#define TOKENIZER_PRETOKENIZER_TABLE_H

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "tokenizer/splitter.h"

namespace llm::tokenizer {

enum class SplitRule : std::uint8_t {
  standard,  // of files that name none
  gpt2,
  llama3,
  jais2,
  minicpm5,
  qwen2,
  qwen35,
  laguna,
  ufakzeka,
  seed_coder,
  exaone_moe,
  starcoder,
  falcon,
  deepseek_coder,
  deepseek_llm,
  deepseek_v3,
  spark,
  o200k,
  tekken,
  tiny_aya,
  youtu,
  kimi_k2,
  afmoe,
  superbpe,
  chameleon,
  bloom,
  viking,
  lines,
  white_space
};

// What a value of tokenizer.ggml.pre stands for.
struct PreTokenizer {
  std::string_view name;
  SplitRule rule;
  bool ignore_merges = false;  // a piece that is a token is taken whole
  bool add_bos = false;        // default of add_bos_token
  bool clean_spaces = true;    // default of decoding with clean-up
  bool byte_level = true;      // bytes written as printable stand-ins
  bool no_default_bos = false;
  bool add_sep = false;
  bool force_bos = false;
};

std::span<const PreTokenizer> pretokenizers();
// Null if there is none of that name.
const PreTokenizer* find_pretokenizer(std::string_view name);

SplitterChain make_splitter(SplitRule rule);

// The rule whose only stage is this regular expression, written as tokenizer.json and tiktoken files write it; adds
// the stage and returns true, or false if the expression is not known.
bool add_known_pattern(std::string_view pattern, SplitterChain& chain);

}  // namespace llm::tokenizer

#endif
