#include <algorithm>

#include "base/mapped_file.h"
#include "case_files.h"
#include "formats/gguf_reader.h"
#include "tokenizer/from_gguf.h"

namespace llm::testing {
namespace {

// llama-bpe's tokens under another pre-tokenizer.
Tokenizer llama_bpe_with(const formats::Metadata& original, const std::string& pre) {
  formats::Metadata metadata;
  metadata.set_source("llama-bpe as " + pre);
  for (const auto& [key, entry] : original.entries()) {
    if (key != "tokenizer.ggml.pre") metadata.insert(key, entry.type, entry.value);
  }
  metadata.insert("tokenizer.ggml.pre", formats::ValueType::string, std::string_view(pre));
  return tokenizer::make_tokenizer(metadata);
}

TEST(PreTokenizerMatrix, GivesTheReferenceIds) {
  const MappedFile file(reference("ggml-vocab-llama-bpe.gguf"));
  const formats::GgufPart part = formats::parse_gguf(file.bytes(), file.path());
  const json matrix = read_json("pre-matrix.json");
  for (const auto& [name, entry] : matrix["pre"].items()) {
    const Tokenizer tokenizer = llama_bpe_with(part.metadata, name);
    for (std::size_t i = 0; i < matrix["texts"].size(); ++i) {
      const std::string text = matrix["texts"][i];
      SCOPED_TRACE(name + " " + printable(text));
      EXPECT_EQ(fmt::format("{}", fmt::join(tokenizer.encode(text), " ")),
                fmt::format("{}", fmt::join(entry["ids"][i].get<Ids>(), " ")));
    }
  }
}

}  // namespace
}  // namespace llm::testing
