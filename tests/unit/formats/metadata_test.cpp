#include "formats/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <llm/error.hpp>

#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"

namespace llm::formats {
namespace {

using ::testing::ElementsAre;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model);
    return error.message();
  }
}

class MetadataTest : public ::testing::Test {
 protected:
  MetadataTest() {
    GgufHeader header;
    header.set_string("text", "llama\n");
    header.set_i32("minus", -1);
    header.set_u32("count", 3);
    header.set("huge", {ValueType::u64, ~std::uint64_t{0}});
    header.set_f32("real", 1.5f);
    header.set_bool("flag", true);
    header.set_i32s("ints", std::vector<std::int32_t>{0, 1, 5});
    header.set_u32s("flags", std::vector<std::uint32_t>{0, 1});
    header.set_f32s("reals", std::vector<float>{0.5f});
    header.set_strings("strings", std::vector<std::string>{"a", "bc"});
    header.set_bools("bools", {true});
    bytes_ = header.encode();
    part_ = parse_gguf(bytes_, "model.gguf");
  }
  const Metadata& metadata() const { return part_.metadata; }

  std::vector<std::byte> bytes_;
  GgufPart part_;
};

TEST_F(MetadataTest, ConvertsBetweenWidthsAndFromIntegersToFloats) {
  EXPECT_EQ(metadata().find_uint("count"), 3u);
  EXPECT_EQ(metadata().find_int("count"), 3);
  EXPECT_EQ(metadata().find_float("count"), 3.0);
  EXPECT_EQ(metadata().find_float("minus"), -1.0);
  EXPECT_EQ(metadata().find_uint("huge"), ~std::uint64_t{0});
  EXPECT_THAT(*metadata().find_floats("ints"), ElementsAre(0.0f, 1.0f, 5.0f));
  EXPECT_THAT(*metadata().find_bools("flags"), ElementsAre(false, true));
}

TEST_F(MetadataTest, AbsentKeysAreNothingUnlessRequired) {
  EXPECT_FALSE(metadata().find_uint("absent").has_value());
  EXPECT_FALSE(metadata().find_strings("absent").has_value());
  EXPECT_EQ(metadata().find_array("absent"), nullptr);
  EXPECT_EQ(metadata().find_string_array("absent"), nullptr);
  EXPECT_EQ(refusal([&] { metadata().require_uint("absent"); }),
            "model.gguf: metadata key 'absent' is missing, expected an integer of at least 0");
}

TEST_F(MetadataTest, NamesFileKeyFoundAndExpectedWhenTheTypeIsWrong) {
  const Metadata& m = metadata();
  EXPECT_EQ(refusal([&] { m.find_uint("text"); }),
            "model.gguf: metadata key 'text': found the string 'llama\\x0a', expected an integer of at least 0");
  EXPECT_EQ(refusal([&] { m.find_uint("minus"); }),
            "model.gguf: metadata key 'minus': found -1, expected an integer of at least 0");
  EXPECT_EQ(refusal([&] { m.find_int("huge"); }),
            "model.gguf: metadata key 'huge': found 18446744073709551615, expected a signed 64-bit integer");
  EXPECT_EQ(refusal([&] { m.find_uint("real"); }),
            "model.gguf: metadata key 'real': found 1.5, expected an integer of at least 0");
  EXPECT_EQ(refusal([&] { m.find_bool("count"); }), "model.gguf: metadata key 'count': found 3, expected a bool");
  EXPECT_EQ(refusal([&] { m.find_float("flag"); }), "model.gguf: metadata key 'flag': found true, expected a number");
  EXPECT_EQ(refusal([&] { m.find_string("ints"); }),
            "model.gguf: metadata key 'ints': found an array of 3 items of type i32, expected a string");
  EXPECT_EQ(refusal([&] { m.find_ints("reals"); }),
            "model.gguf: metadata key 'reals': found an array of 1 items of type f32, expected an array of integers");
  EXPECT_EQ(refusal([&] { m.find_ints("bools"); }),
            "model.gguf: metadata key 'bools': found an array of 1 items of type bool, expected an array of integers");
  EXPECT_EQ(
      refusal([&] { m.find_floats("strings"); }),
      "model.gguf: metadata key 'strings': found an array of 2 items of type string, expected an array of numbers");
  EXPECT_EQ(refusal([&] { m.find_strings("ints"); }),
            "model.gguf: metadata key 'ints': found an array of 3 items of type i32, expected an array of strings");
  EXPECT_EQ(refusal([&] { m.find_bools("ints"); }),
            "model.gguf: metadata key 'ints': found item 5, expected an array of bools");
  EXPECT_EQ(refusal([&] { m.find_array("count"); }), "model.gguf: metadata key 'count': found 3, expected an array");
}

TEST_F(MetadataTest, WalksArraysOfStringsWithoutCopying) {
  const StringItems items(*metadata().find_string_array("strings"));
  EXPECT_EQ(items.size(), 2u);
  std::vector<std::string_view> found;
  for (const std::string_view item : items) {
    found.push_back(item);
    const auto* at = reinterpret_cast<const std::byte*>(item.data());
    EXPECT_TRUE(at >= bytes_.data() && at < bytes_.data() + bytes_.size());
  }
  EXPECT_THAT(found, ElementsAre("a", "bc"));
}

// A file with one array of arrays, `depth` deep, around one byte.
std::vector<std::byte> nested_file(int depth) {
  std::string array;
  const auto put = [&](auto value) { array.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (int i = 1; i < depth; ++i) {
    put(static_cast<std::uint32_t>(ValueType::array));
    put(std::uint64_t{1});
  }
  put(static_cast<std::uint32_t>(ValueType::u8));
  put(std::uint64_t{1});
  put(std::uint8_t{9});
  GgufHeader header;
  ArrayView view;
  view.item_type = ValueType::array;
  view.count = 1;
  view.bytes = std::as_bytes(std::span(array));
  header.set("nested", {ValueType::array, view});
  header.set_u32("after", 7);
  return header.encode();
}

TEST(NestedArrays, AreReadToADepthOfEight) {
  const std::vector<std::byte> deepest = nested_file(8);
  const GgufPart part = parse_gguf(deepest, "f");
  EXPECT_EQ(part.metadata.find_uint("after"), 7u);
  EXPECT_EQ(part.metadata.find_array("nested")->count, 1u);
  EXPECT_EQ(part.metadata.find_array("nested")->bytes.size(), 8u * 12 + 1);
  const std::vector<std::byte> deeper = nested_file(9);
  EXPECT_EQ(refusal([&] { parse_gguf(deeper, "f"); }), "f: metadata key 'nested': arrays nested more than 8 deep");
}

}  // namespace
}  // namespace llm::formats
