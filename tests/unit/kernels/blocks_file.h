#ifndef TESTS_UNIT_KERNELS_BLOCKS_FILE_H
#define TESTS_UNIT_KERNELS_BLOCKS_FILE_H

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_type.h"

namespace llm::kernels::testing {

// Reference blocks of a weight type (tests/data/quants): quantised data, random bits, extremes, and their values.
struct Blocks {
  std::vector<std::uint8_t> blocks;  // [n_blocks, block_bytes]
  std::vector<float> values;         // [n_blocks, block_elements]
};

inline Blocks read_blocks(std::string_view type_name) {
  const std::string path = std::string(LLM_TEST_DATA) + "/quants/" + std::string(type_name) + ".blocks.safetensors";
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (bytes.size() < 8) return {};
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  const auto header = nlohmann::json::parse(bytes.substr(8, header_bytes));
  const char* data = bytes.data() + 8 + header_bytes;
  Blocks result;
  const auto range = [&](const char* name) {
    const auto offsets = header.at(name).at("data_offsets").get<std::vector<std::size_t>>();
    return std::string_view(data + offsets.at(0), offsets.at(1) - offsets.at(0));
  };
  const std::string_view blocks = range("blocks");
  result.blocks.assign(blocks.begin(), blocks.end());
  const std::string_view values = range("values");
  result.values.resize(values.size() / sizeof(float));
  std::memcpy(result.values.data(), values.data(), values.size());
  return result;
}

// All types with reference blocks.
inline std::vector<TensorTypeInfo> block_types() {
  std::vector<TensorTypeInfo> types;
  for (const TensorTypeInfo& info : tensor_type_infos) {
    switch (info.type) {
      case TensorType::F32:
      case TensorType::I8:
      case TensorType::I16:
      case TensorType::I32:
      case TensorType::I64:
      case TensorType::F64:
        break;
      default:
        types.push_back(info);
    }
  }
  return types;
}

}  // namespace llm::kernels::testing

#endif
