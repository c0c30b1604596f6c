#include <fmt/format.h>

#include <filesystem>
#include <forward_list>
#include <llm/tokenizer.hpp>
#include <optional>

#include "base/mapped_file.h"
#include "formats/gguf_reader.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/numbered_pieces.h"
#include "tokenizer/vocabulary_files.h"
#include "tokenizer/vocabulary_lists.h"

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

// Folders without a tokenizer.json.
class OlderFolder {
 public:
  explicit OlderFolder(const std::string& path) : path_(path) {}

  std::optional<Tokenizer> open() {
    const std::string_view vocabulary = read("vocab.json");
    for (const char* name : {"source.spm", "sentencepiece.bpe.model", "spiece.model"}) {
      if (const std::string_view pieces = read(name); !pieces.empty()) return open_pieces(pieces, vocabulary);
    }
    const std::optional<tokenizer::TokenizerTexts> texts = tokenizer::tokenizer_of_lists(path_);
    if (!texts) return std::nullopt;
    return tokenizer::make_huggingface_tokenizer(
        {texts->tokenizer_json, texts->tokenizer_config, read("generation_config.json")}, path_);
  }

 private:
  // A SentencePiece model whose pieces are numbered by the files beside it.
  Tokenizer open_pieces(std::string_view pieces, std::string_view vocabulary) {
    using tokenizer::PieceScheme;
    const PieceScheme scheme = vocabulary.empty() ? PieceScheme::appended : PieceScheme::listed;
    tokenizer::PieceNumbering numbering = tokenizer::read_numbering(
        {pieces, vocabulary, config(), read("special_tokens_map.json"), model()}, scheme, path_);
    return tokenizer::make_numbered_tokenizer(pieces, std::move(numbering), path_);
  }

  std::string_view config() { return read("tokenizer_config.json"); }
  std::string_view model() { return read("config.json"); }
  // Empty if there is no such file.
  std::string_view read(const char* name) {
    auto file = find_file(path_, name);
    return file ? text_of(files_.emplace_front(std::move(*file))) : std::string_view();
  }

  const std::string& path_;
  std::forward_list<MappedFile> files_;
};

Tokenizer open_folder(const std::string& path) {
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer.bin", "tokenizer.tiktoken", "qwen.tiktoken"}) {
    std::error_code error;
    if (std::filesystem::is_regular_file(std::filesystem::path(path) / name, error)) {
      return Tokenizer::open((std::filesystem::path(path) / name).string());
    }
  }
  if (std::optional<Tokenizer> tokenizer = OlderFolder(path).open()) return std::move(*tokenizer);
  throw Error(ErrorCode::io, fmt::format("{}: no tokenizer.json, tokenizer.model, tokenizer.bin, SentencePiece model, "
                                         "vocab.txt, or vocab.json with merges.txt in this folder",
                                         path));
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
