#ifndef TOKENIZER_BYTE_ALPHABET_H
#define TOKENIZER_BYTE_ALPHABET_H

#include <string>
#include <string_view>

namespace llm::tokenizer {

// GPT-2's printable stand-ins for bytes: 33-126, 161-172 and 174-255 stand for themselves as code points, the other 68
// bytes in order for U+0100 onward.
char32_t byte_to_stand_in(unsigned char byte);
// The byte, or -1 if the character stands for none.
int stand_in_to_byte(char32_t code_point);

// Bytes -> stand-ins in UTF-8.
void append_stand_ins(std::string_view bytes, std::string& out);
// Stand-ins in UTF-8 -> bytes. False, with `out` unchanged, if a character stands for none.
bool append_bytes_of_stand_ins(std::string_view text, std::string& out);

}  // namespace llm::tokenizer

#endif
