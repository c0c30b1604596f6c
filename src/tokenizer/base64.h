#ifndef TOKENIZER_BASE64_H
#define TOKENIZER_BASE64_H

#include <optional>
#include <string>
#include <string_view>

namespace llm::tokenizer {

// The bytes of a text in base 64, padded or not; nothing if another character is in it.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace llm::tokenizer

#endif
