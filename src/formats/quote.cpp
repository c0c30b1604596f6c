#include "formats/quote.h"

#include <fmt/format.h>

namespace llm::formats {

std::string quote(std::string_view text) {
  constexpr std::size_t n_shown = 80;
  std::string out = "'";
  for (const char c : text.substr(0, n_shown)) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  out += text.size() > n_shown ? "...'" : "'";
  return out;
}

}  // namespace llm::formats
