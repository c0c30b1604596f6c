#ifndef CHAT_TEXT_SEARCH_H
#define CHAT_TEXT_SEARCH_H

#include <cstring>
#include <string>
#include <string_view>

namespace llm::chat {

inline constexpr std::size_t npos = std::string_view::npos;

// First occurrence at or after `from`, npos if none. memmem takes linear time whatever the bytes.
inline std::size_t find_bytes(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from > text.size()) return std::string::npos;
  if (wanted.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  if (found == nullptr) return std::string::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace llm::chat

#endif
