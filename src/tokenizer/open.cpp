#include <fmt/format.h>

#include <filesystem>
#include <llm/tokenizer.hpp>
#include <optional>

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

// A file of a folder, or nothing.
std::optional<MappedFile> find_file(const std::filesystem::path& folder, const char* name) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(folder / name, error)) return std::nullopt;
  return MappedFile((folder / name).string());
}

Tokenizer open_json(const MappedFile& file) {
  const std::filesystem::path folder = std::filesystem::path(file.path()).parent_path();
  const auto config = find_file(folder, "tokenizer_config.json");
  const auto generation = find_file(folder, "generation_config.json");
  return tokenizer::make_huggingface_tokenizer(
      {text_of(file), config ? text_of(*config) : "", generation ? text_of(*generation) : ""}, file.path());
}

bool looks_like_json(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::size_t at = text.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && text[at] == '{';
}

Tokenizer open_folder(const std::string& path) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer.bin"}) {
    std::error_code error;
    if (std::filesystem::is_regular_file(std::filesystem::path(path) / name, error)) {
      return Tokenizer::open((std::filesystem::path(path) / name).string());
    }
  }
  throw Error(ErrorCode::io,
              fmt::format("{}: no tokenizer.json, tokenizer.model or tokenizer.bin in this folder", path));
}

}  // namespace

Tokenizer Tokenizer::open(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_folder(path);
  const MappedFile file(path);
  if (formats::has_gguf_magic(file.bytes())) {
    return tokenizer::make_tokenizer(formats::parse_gguf(file.bytes(), path).metadata);
  }
  const std::string_view text = text_of(file);
  if (tokenizer::looks_like_tiktoken(text)) {
    return tokenizer::make_tiktoken_tokenizer(text, path, options_beside(path));
  }
  if (looks_like_json(text)) return open_json(file);
  if (tokenizer::looks_like_llama2c(text)) return tokenizer::make_llama2c_tokenizer(text, path);
  return tokenizer::make_sentencepiece_tokenizer(text, path);
}

}  // namespace llm
