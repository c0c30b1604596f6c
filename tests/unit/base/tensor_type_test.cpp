#include "base/tensor_type.h"

#include <gtest/gtest.h>

namespace llm {
namespace {

TEST(TensorType, KnowsBlockSizesOfEveryListedType) {
  EXPECT_EQ(tensor_row_bytes(TensorType::Q4_K, 512), 288u);
  EXPECT_EQ(tensor_row_bytes(TensorType::MXFP4, 64), 34u);
  EXPECT_EQ(tensor_type_info(TensorType::BF16).name, "BF16");
}

TEST(TensorType, RetiredAndUnknownIdsAreNotTypes) {
  for (std::uint32_t id : {4u, 5u, 9u, 15u, 31u, 36u, 43u, 200u}) EXPECT_EQ(find_tensor_type(id), nullptr) << id;
}

}  // namespace
}  // namespace llm
