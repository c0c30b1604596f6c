#include "kernels/decode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "blocks_file.h"
#include "kernels/half.h"

namespace llm::kernels {
namespace {

std::uint32_t bits_of(float value) {
  return bits_from_float(value);
}

TEST(Decode, EqualsTheReferenceBlocksBitForBit) {
  int n_types = 0;
  for (const TensorTypeInfo& info : testing::block_types()) {
    SCOPED_TRACE(info.name);
    const testing::Blocks reference = testing::read_blocks(info.name);
    ASSERT_FALSE(reference.blocks.empty());
    ++n_types;
    std::vector<float> values(reference.values.size());
    decode_row(info.type, reinterpret_cast<const std::byte*>(reference.blocks.data()), values.data(),
               static_cast<std::int64_t>(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(bits_of(values[i]), bits_of(reference.values[i]))
          << "element " << i << ": " << values[i] << ", expected " << reference.values[i];
    }
  }
  EXPECT_EQ(n_types, 27);
}

TEST(Decode, ReadsPlainNumbers) {
  const std::int16_t shorts[] = {-32768, 7};
  const std::int64_t longs[] = {-5, std::int64_t{1} << 40};
  const double doubles[] = {0.5, -3};
  float out[2];
  decode_row(TensorType::I16, reinterpret_cast<const std::byte*>(shorts), out, 2);
  EXPECT_EQ(out[0], -32768.0f);
  decode_row(TensorType::I64, reinterpret_cast<const std::byte*>(longs), out, 2);
  EXPECT_EQ(out[1], 0x1p40f);
  decode_row(TensorType::F64, reinterpret_cast<const std::byte*>(doubles), out, 2);
  EXPECT_EQ(out[0], 0.5f);
}

TEST(Half, EveryHalfSurvivesTheWayToFloatAndBack) {
  for (std::uint32_t h = 0; h < 0x10000u; ++h) {
    const bool nan = (h & 0x7fffu) > 0x7c00u;
    const std::uint16_t back = half_from_float(float_from_half(static_cast<std::uint16_t>(h)));
    if (nan) {
      EXPECT_GT(back & 0x7fff, 0x7c00) << h;
    } else {
      EXPECT_EQ(back, h);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(half_from_float(1.0f + 0x1p-11f), 0x3c00);
  EXPECT_EQ(half_from_float(1.0f + 3 * 0x1p-11f), 0x3c02);
  EXPECT_EQ(half_from_float(65519.0f), 0x7bff);
  EXPECT_EQ(half_from_float(65520.0f), 0x7c00);
  EXPECT_EQ(half_from_float(-0x1p-25f), 0x8000);
  EXPECT_EQ(half_from_float(0x1.8p-24f), 0x0002);
  EXPECT_EQ(bfloat_from_float(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(bfloat_from_float(1.0f + 3 * 0x1p-8f), 0x3f82);
  EXPECT_GT(bfloat_from_float(std::numeric_limits<float>::quiet_NaN()) & 0x7fff, 0x7f80);
}

}  // namespace
}  // namespace llm::kernels
