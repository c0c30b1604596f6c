#include <fmt/format.h>

#include <filesystem>
#include <llm/tokenizer.hpp>

#include "base/mapped_file.h"
#include "formats/gguf_reader.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/vocabulary_files.h"

namespace llm {

namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// Pattern and special tokens of a tiktoken file may stand beside it: NAME.json for NAME.tiktoken.
tokenizer::TiktokenOptions options_beside(const std::string& path) {
  const std::filesystem::path json = std::filesystem::path(path).replace_extension(".json");
  std::error_code error;
  if (!std::filesystem::is_regular_file(json, error)) return {};
  const MappedFile file(json.string());
  if (text_of(file).find("\"pat_str\"") == std::string_view::npos) return {};
  return tokenizer::read_tiktoken_options(text_of(file), json.string());
}

}  // namespace

Tokenizer Tokenizer::open(const std::string& path) {
  const MappedFile file(path);
  if (formats::has_gguf_magic(file.bytes())) {
    return tokenizer::make_tokenizer(formats::parse_gguf(file.bytes(), path).metadata);
  }
  const std::string_view text = text_of(file);
  if (tokenizer::looks_like_tiktoken(text)) {
    return tokenizer::make_tiktoken_tokenizer(text, path, options_beside(path));
  }
  if (tokenizer::looks_like_llama2c(text)) return tokenizer::make_llama2c_tokenizer(text, path);
  return tokenizer::make_sentencepiece_tokenizer(text, path);
}

}  // namespace llm
