// Opens foreign bytes as a tokenizer.json and uses what comes of it.
#include <cstddef>
#include <cstdint>
#include <llm/tokenizer.hpp>
#include <string_view>

#include "tokenizer/vocabulary_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const llm::Tokenizer tokenizer = llm::tokenizer::make_huggingface_tokenizer({text, text, text}, "input");
    const std::string_view sample = " Hello, W\xC3\xB6rld 123\n\n \xE4\xB8\xAD\xE6\x96\x87 \xFF<s>  x";
    for (const bool parse : {false, true}) {
      const auto ids = tokenizer.encode(sample, {.add_special = parse, .parse_special = parse});
      (void)tokenizer.decode(ids, parse);
      (void)tokenizer.encode_pair(sample, "b", {.add_special = parse, .parse_special = parse});
    }
  } catch (const llm::Error&) {
  }
  return 0;
}
