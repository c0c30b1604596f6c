#include "tokenizer/protobuf.h"

#include <fmt/format.h>

#include <cstring>
#include <llm/error.hpp>

namespace llm::tokenizer {

float ProtobufReader::Field::as_float() const {
  const auto bits = static_cast<std::uint32_t>(value);
  float result = 0;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

void ProtobufReader::fail(std::string_view what) const {
  throw Error(ErrorCode::model,
              fmt::format("{}: {} at byte {} of a message of {} bytes", source_, what, at_, message_.size()));
}

std::uint64_t ProtobufReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (at_ == message_.size()) fail("number without end");
    const auto byte = static_cast<unsigned char>(message_[at_++]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("number of more than 64 bits");
}

std::string_view ProtobufReader::take(std::uint64_t n) {
  if (n > message_.size() - at_) fail(fmt::format("field of {} bytes reaches beyond the end", n));
  const std::string_view bytes = message_.substr(at_, n);
  at_ += n;
  return bytes;
}

std::optional<ProtobufReader::Field> ProtobufReader::next() {
  if (at_ == message_.size()) return std::nullopt;
  Field field;
  const std::uint64_t key = varint();
  field.number = key >> 3;
  field.wire_type = static_cast<int>(key & 7);
  if (field.number == 0) fail("field number 0");
  switch (field.wire_type) {
    case 0:
      field.value = varint();
      break;
    case 1:
      std::memcpy(&field.value, take(8).data(), 8);
      break;
    case 2:
      field.bytes = take(varint());
      break;
    case 5:
      std::memcpy(&field.value, take(4).data(), 4);
      break;
    default:
      fail(fmt::format("wire type {}", field.wire_type));
  }
  return field;
}

}  // namespace llm::tokenizer
