#ifndef TESTS_SUPPORT_GGUF_FIELDS_H
#define TESTS_SUPPORT_GGUF_FIELDS_H

#include <string>
#include <vector>

#include "mutator.h"

namespace llm::test {

// Where the numbers of a sound GGUF file's header stand: version, counts, lengths, types, values, extents, offsets.
class GgufFields {
 public:
  explicit GgufFields(const std::string& bytes) : bytes_(bytes) {}

  std::vector<Field> list() {
    at_ = 4;
    number(4);
    const std::uint64_t n_tensors = number(8);
    const std::uint64_t n_pairs = number(8);
    for (std::uint64_t i = 0; i < n_pairs; ++i) {
      string();
      value(number(4));
    }
    for (std::uint64_t i = 0; i < n_tensors; ++i) {
      string();
      const std::uint64_t n_dims = number(4);
      for (std::uint64_t d = 0; d < n_dims; ++d) number(8);
      number(4);
      number(8);
    }
    return fields_;
  }

 private:
  std::uint64_t number(std::size_t n_bytes) {
    fields_.push_back({at_, n_bytes});
    std::uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, n_bytes);
    at_ += n_bytes;
    return value;
  }
  void string() {
    const std::uint64_t length = number(8);
    at_ += length;
  }
  void value(std::uint64_t type) {
    static constexpr std::size_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) return string();
    if (type != 9) {
      number(widths[type]);
      return;
    }
    const std::uint64_t item_type = number(4);
    const std::uint64_t count = number(8);
    for (std::uint64_t i = 0; i < count; ++i) value(item_type);
  }

  const std::string& bytes_;
  std::size_t at_ = 0;
  std::vector<Field> fields_;
};

}  // namespace llm::test

#endif
