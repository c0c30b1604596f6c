// Opens foreign bytes as a GGUF file and uses everything it offers.
#include <cstddef>
#include <cstdint>
#include <llm/error.hpp>
#include <span>

#include "formats/gguf_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llm::formats;
  try {
    const GgufPart part = parse_gguf(std::as_bytes(std::span(data, size)), "input");
    volatile std::uint64_t sum = 0;
    for (const auto& [key, entry] : part.metadata.entries()) {
      const auto* array = std::get_if<ArrayView>(&entry.value);
      if (array == nullptr) continue;
      if (array->item_type == ValueType::string) {
        for (const std::string_view item : StringItems(*array)) {
          for (const char c : item) sum = sum + static_cast<unsigned char>(c);
        }
      } else {
        for (const std::byte item : array->bytes) sum = sum + static_cast<std::uint64_t>(item);
      }
    }
    for (const TensorView& tensor : part.tensors) {
      for (std::uint64_t i = 0; i < tensor.n_bytes; ++i) sum = sum + static_cast<std::uint64_t>(tensor.data[i]);
    }
  } catch (const llm::Error&) {
  }
  return 0;
}
