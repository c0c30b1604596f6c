#ifndef FORMATS_BYTE_READER_H
#define FORMATS_BYTE_READER_H

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace llm::formats {

// Formats are little-endian on disk and read as they lie.
static_assert(std::endian::native == std::endian::little, "file readers assume a little-endian machine");

// A position in foreign bytes. Everything taken is compared with what is left first; nothing is copied.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t position() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }

  std::optional<std::span<const std::byte>> take_bytes(std::uint64_t n) {
    if (n > left()) return std::nullopt;
    const std::span<const std::byte> taken = bytes_.subspan(at_, static_cast<std::size_t>(n));
    at_ += static_cast<std::size_t>(n);
    return taken;
  }

  template <typename T>
  requires std::is_trivially_copyable_v<T> std::optional<T> take() {
    if (sizeof(T) > left()) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  // A string as GGUF writes it: u64 length, then the bytes.
  std::optional<std::string_view> take_string() {
    const std::optional<std::uint64_t> length = take<std::uint64_t>();
    if (!length) return std::nullopt;
    const std::optional<std::span<const std::byte>> text = take_bytes(*length);
    if (!text) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(text->data()), text->size());
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace llm::formats

#endif
