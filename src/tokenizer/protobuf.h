#ifndef TOKENIZER_PROTOBUF_H
#define TOKENIZER_PROTOBUF_H

#include <cstdint>
#include <optional>
#include <string_view>

namespace llm::tokenizer {

// Reads the fields of one protocol-buffer message in their order. Views point into the message.
class ProtobufReader {
 public:
  // `source` starts messages of errors and must outlive the reader.
  ProtobufReader(std::string_view message, std::string_view source) : message_(message), source_(source) {}

  struct Field {
    std::uint64_t number = 0;
    int wire_type = 0;        // 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes
    std::uint64_t value = 0;  // of wire types 0, 1 and 5
    std::string_view bytes;   // of wire type 2

    bool as_bool() const { return value != 0; }
    std::int32_t as_int() const { return static_cast<std::int32_t>(value); }
    float as_float() const;
  };
  // Nothing at the end. Throws Error(model) if the bytes are no message.
  std::optional<Field> next();

 private:
  std::uint64_t varint();
  std::string_view take(std::uint64_t n);
  [[noreturn]] void fail(std::string_view what) const;

  std::string_view message_;
  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace llm::tokenizer

#endif
