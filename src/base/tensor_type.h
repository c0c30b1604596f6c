#ifndef BASE_TENSOR_TYPE_H
#define BASE_TENSOR_TYPE_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace llm {

// The one list of storage types: enumerator, id in GGUF files, elements a block, bytes a block.
#define LLM_TENSOR_TYPES(X) \
  X(F32, 0, 1, 4)           \
  X(F16, 1, 1, 2)           \
  X(Q4_0, 2, 32, 18)        \
  X(Q4_1, 3, 32, 20)        \
  X(Q5_0, 6, 32, 22)        \
  X(Q5_1, 7, 32, 24)        \
  X(Q8_0, 8, 32, 34)        \
  X(Q2_K, 10, 256, 84)      \
  X(Q3_K, 11, 256, 110)     \
  X(Q4_K, 12, 256, 144)     \
  X(Q5_K, 13, 256, 176)     \
  X(Q6_K, 14, 256, 210)     \
  X(IQ2_XXS, 16, 256, 66)   \
  X(IQ2_XS, 17, 256, 74)    \
  X(IQ3_XXS, 18, 256, 98)   \
  X(IQ1_S, 19, 256, 50)     \
  X(IQ4_NL, 20, 32, 18)     \
  X(IQ3_S, 21, 256, 110)    \
  X(IQ2_S, 22, 256, 82)     \
  X(IQ4_XS, 23, 256, 136)   \
  X(I8, 24, 1, 1)           \
  X(I16, 25, 1, 2)          \
  X(I32, 26, 1, 4)          \
  X(I64, 27, 1, 8)          \
  X(F64, 28, 1, 8)          \
  X(IQ1_M, 29, 256, 56)     \
  X(BF16, 30, 1, 2)         \
  X(TQ1_0, 34, 256, 54)     \
  X(TQ2_0, 35, 256, 66)     \
  X(MXFP4, 39, 32, 17)      \
  X(NVFP4, 40, 64, 36)      \
  X(Q1_0, 41, 128, 18)      \
  X(Q2_0, 42, 64, 18)

enum class TensorType : std::uint32_t {
#define LLM_ENUMERATOR(name, id, elements, bytes) name = id,
  LLM_TENSOR_TYPES(LLM_ENUMERATOR)
#undef LLM_ENUMERATOR
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

inline constexpr TensorTypeInfo tensor_type_infos[] = {
#define LLM_INFO(name, id, elements, bytes) {TensorType::name, #name, elements, bytes},
    LLM_TENSOR_TYPES(LLM_INFO)
#undef LLM_INFO
};

// Facts of a type id as found in a file; null if the id is not a type that files may hold.
constexpr const TensorTypeInfo* find_tensor_type(std::uint32_t id) {
  for (const TensorTypeInfo& info : tensor_type_infos) {
    if (static_cast<std::uint32_t>(info.type) == id) return &info;
  }
  return nullptr;
}

constexpr const TensorTypeInfo& tensor_type_info(TensorType type) {
  return *find_tensor_type(static_cast<std::uint32_t>(type));
}

// Bytes of a row of n_elements, which must be whole blocks.
constexpr std::uint64_t tensor_row_bytes(TensorType type, std::uint64_t n_elements) {
  const TensorTypeInfo& info = tensor_type_info(type);
  return n_elements / info.block_elements * info.block_bytes;
}

}  // namespace llm

#endif
