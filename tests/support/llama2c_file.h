#ifndef TESTS_SUPPORT_LLAMA2C_FILE_H
#define TESTS_SUPPORT_LLAMA2C_FILE_H

#include <cstdint>
#include <span>
#include <string>

#include "tokenizer/vocabulary.h"

namespace llm::test {

// A small vocabulary in llama2.c's format: three special tokens, all bytes, `merges` with falling scores, then the
// letters and a space, without which nothing can be merged.
inline std::string llama2c_file(std::span<const std::string> merges) {
  std::string file;
  const auto put = [&file](const auto& value) { file.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto add = [&](float score, const std::string& text) {
    put(score);
    put(static_cast<std::int32_t>(text.size()));
    file += text;
  };
  put(std::int32_t{8});
  for (const char* text : {"<unk>", "\n<s>\n", "\n</s>\n"}) add(0, text);
  for (int b = 0; b < 256; ++b) add(0, tokenizer::byte_token_text(static_cast<unsigned char>(b)));
  float score = 0;
  for (const std::string& text : merges) add(score -= 1, text);
  for (char c = 'a'; c <= 'z'; ++c) add(score -= 1, std::string(1, c));
  add(score - 1, " ");
  return file;
}

}  // namespace llm::test

#endif
