#include <fmt/format.h>

#include <llm/tokenizer.hpp>

#include "base/mapped_file.h"
#include "formats/gguf_reader.h"
#include "tokenizer/from_gguf.h"

namespace llm {

Tokenizer Tokenizer::open(const std::string& path) {
  const MappedFile file(path);
  if (formats::has_gguf_magic(file.bytes())) {
    return tokenizer::make_tokenizer(formats::parse_gguf(file.bytes(), path).metadata);
  }
  throw Error(ErrorCode::model, fmt::format("{}: not a tokenizer, expected a GGUF file", path));
}

}  // namespace llm
