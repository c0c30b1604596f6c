// Opens foreign bytes as a safetensors file and reads all tensor data.
#include <cstddef>
#include <cstdint>
#include <llm/error.hpp>
#include <span>

#include "formats/safetensors_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llm::formats;
  try {
    const SafetensorsPart part = parse_safetensors(std::as_bytes(std::span(data, size)), "input");
    volatile std::uint64_t sum = 0;
    for (const TensorView& tensor : part.tensors) {
      for (std::uint64_t i = 0; i < tensor.n_bytes; ++i) sum = sum + static_cast<std::uint64_t>(tensor.data[i]);
    }
  } catch (const llm::Error&) {
  }
  return 0;
}
