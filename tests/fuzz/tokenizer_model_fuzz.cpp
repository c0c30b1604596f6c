// Opens foreign bytes as a SentencePiece model, tiktoken ranks and a llama2.c vocabulary.
#include <cstddef>
#include <cstdint>
#include <llm/tokenizer.hpp>
#include <string_view>

#include "tokenizer/vocabulary_files.h"

namespace {

void use(const llm::Tokenizer& tokenizer) {
  const std::string_view sample = " Hello, W\xC3\xB6rld 123\n\n \xE4\xB8\xAD\xE6\x96\x87 \xFF<s>  x";
  for (const bool parse : {false, true}) {
    (void)tokenizer.decode(tokenizer.encode(sample, {.add_special = parse, .parse_special = parse}), parse);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    use(llm::tokenizer::make_sentencepiece_tokenizer(bytes, "input"));
  } catch (const llm::Error&) {
  }
  try {
    use(llm::tokenizer::make_tiktoken_tokenizer(bytes, "input", {}));
  } catch (const llm::Error&) {
  }
  try {
    use(llm::tokenizer::make_llama2c_tokenizer(bytes, "input"));
  } catch (const llm::Error&) {
  }
  return 0;
}
