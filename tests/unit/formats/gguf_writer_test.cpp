#include "formats/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/error.hpp>
#include <numeric>

#include "formats/weights_file.h"
#include "temporary_folder.h"

namespace llm::formats {
namespace {

using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> numbered(std::size_t n, int first) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return bytes;
}

// Every type of value, two tensors.
GgufHeader sample() {
  GgufHeader header;
  header.set_string("general.architecture", "llama");
  header.set_bool("x.bool", true);
  header.set_u16("x.u16", 65535);
  header.set_u32("x.u32", 4000000000u);
  header.set_i32("x.i32", -5);
  header.set_f32("x.f32", 1e-5f);
  header.set("x.u8", {ValueType::u8, std::uint64_t{200}});
  header.set("x.i8", {ValueType::i8, std::int64_t{-100}});
  header.set("x.i16", {ValueType::i16, std::int64_t{-30000}});
  header.set("x.u64", {ValueType::u64, std::uint64_t{1} << 63});
  header.set("x.i64", {ValueType::i64, std::numeric_limits<std::int64_t>::min()});
  header.set("x.f64", {ValueType::f64, 0.1});
  header.set_u32s("x.u32s", std::vector<std::uint32_t>{1, 2, 3});
  header.set_i32s("x.i32s", std::vector<std::int32_t>{-1, 2});
  header.set_f32s("x.f32s", std::vector<float>{0.5f, -2.0f});
  header.set_bools("x.bools", {true, false, true});
  header.set_strings("x.strings", std::vector<std::string>{"a", "", "\xe2\x96\x81z"});
  header.add_tensor("token_embd.weight", TensorType::Q8_0, std::vector<std::int64_t>{32, 3});
  header.add_tensor("output_norm.weight", TensorType::F32, std::vector<std::int64_t>{5});
  return header;
}

TEST(GgufWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.gguf");
  const std::vector<std::byte> first = numbered(102, 1);
  const std::vector<std::byte> second = numbered(20, 77);
  GgufWriter writer(path, sample());
  writer.write(std::span(first).first(30));
  EXPECT_FALSE(std::filesystem::exists(path)) << "appears only when finished";
  writer.write(std::span(first).subspan(30));
  writer.write(second);
  writer.finish();

  const auto file = WeightsFile::open(path);
  const Metadata& metadata = file->metadata();
  EXPECT_EQ(metadata.require_string("general.architecture"), "llama");
  EXPECT_EQ(metadata.find_bool("x.bool"), true);
  EXPECT_EQ(metadata.find_uint("x.u8"), 200u);
  EXPECT_EQ(metadata.find_uint("x.u16"), 65535u);
  EXPECT_EQ(metadata.find_int("x.u32"), 4000000000);
  EXPECT_EQ(metadata.find_uint("x.u64"), std::uint64_t{1} << 63);
  EXPECT_EQ(metadata.find_int("x.i8"), -100);
  EXPECT_EQ(metadata.find_int("x.i16"), -30000);
  EXPECT_EQ(metadata.find_int("x.i32"), -5);
  EXPECT_EQ(metadata.find_int("x.i64"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(metadata.find_float("x.f32"), double{1e-5f});
  EXPECT_EQ(metadata.find_float("x.f64"), 0.1);
  EXPECT_THAT(*metadata.find_ints("x.u32s"), ElementsAre(1, 2, 3));
  EXPECT_THAT(*metadata.find_ints("x.i32s"), ElementsAre(-1, 2));
  EXPECT_THAT(*metadata.find_floats("x.f32s"), ElementsAre(0.5f, -2.0f));
  EXPECT_THAT(*metadata.find_bools("x.bools"), ElementsAre(true, false, true));
  EXPECT_THAT(*metadata.find_strings("x.strings"), ElementsAre("a", "", "\xe2\x96\x81z"));

  const TensorView* tensor = file->find_tensor("token_embd.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, TensorType::Q8_0);
  ASSERT_EQ(tensor->n_bytes, first.size());
  EXPECT_EQ(std::memcmp(tensor->data, first.data(), first.size()), 0);
  tensor = file->find_tensor("output_norm.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor->data) % GgufHeader::alignment, 0u);
  ASSERT_EQ(tensor->n_bytes, second.size());
  EXPECT_EQ(std::memcmp(tensor->data, second.data(), second.size()), 0);
}

TEST(GgufWriter, CopiesMetadataUnchanged) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const GgufHeader& header) {
    GgufWriter writer(folder.file(name), header);
    writer.write(numbered(102, 1));
    writer.write(numbered(20, 77));
    writer.finish();
    return WeightsFile::open(folder.file(name));
  };
  const auto original = write("a.gguf", sample());
  GgufHeader copied;
  copied.copy_from(original->metadata());
  copied.set_u32("x.u32", 1);  // replaces
  copied.add_tensor("token_embd.weight", TensorType::Q8_0, std::vector<std::int64_t>{32, 3});
  copied.add_tensor("output_norm.weight", TensorType::F32, std::vector<std::int64_t>{5});
  const auto copy = write("b.gguf", copied);
  EXPECT_EQ(copy->metadata().find_uint("x.u32"), 1u);
  EXPECT_EQ(copy->file_bytes(), original->file_bytes());
  ASSERT_EQ(copy->metadata().entries().size(), original->metadata().entries().size());
  for (const auto& [key, entry] : original->metadata().entries()) {
    SCOPED_TRACE(key);
    const Metadata::Entry& found = copy->metadata().entries().at(key);
    EXPECT_EQ(found.type, entry.type);
    if (const auto* array = std::get_if<ArrayView>(&entry.value)) {
      const auto& other = std::get<ArrayView>(found.value);
      EXPECT_EQ(other.count, array->count);
      EXPECT_TRUE(std::equal(other.bytes.begin(), other.bytes.end(), array->bytes.begin(), array->bytes.end()));
    } else if (key != "x.u32") {
      EXPECT_TRUE(std::visit(
          [&]<typename T>(const T& value) {
            if constexpr (std::is_same_v<T, ArrayView>) {
              return false;
            } else {
              return value == std::get<T>(found.value);
            }
          },
          entry.value));
    }
  }
}

TEST(GgufWriter, RefusesTensorsThatNoFileCanHold) {
  GgufHeader header;
  const auto refused = [&](std::string_view name, TensorType type, std::vector<std::int64_t> extent) {
    try {
      header.add_tensor(name, type, extent);
      return std::string();
    } catch (const Error& error) {
      return error.message();
    }
  };
  EXPECT_THAT(refused("", TensorType::F32, {1}), HasSubstr("a name of 0 bytes"));
  EXPECT_THAT(refused(std::string(64, 'x'), TensorType::F32, {1}), HasSubstr("a name of 64 bytes"));
  EXPECT_THAT(refused("a", TensorType::F32, {}), HasSubstr("0 dimensions"));
  EXPECT_THAT(refused("a", TensorType::F32, {1, 1, 1, 1, 1}), HasSubstr("5 dimensions"));
  EXPECT_THAT(refused("a", TensorType::F32, {4, 0}), HasSubstr("dimension 1 is 0"));
  EXPECT_THAT(refused("a", TensorType::Q4_0, {33}), HasSubstr("a multiple of 32"));
  EXPECT_THAT(refused("a", TensorType::F32, {std::int64_t{1} << 40, std::int64_t{1} << 40}), HasSubstr("2^64 bytes"));
  EXPECT_TRUE(header.tensors().empty());
  header.add_tensor("a", TensorType::F32, std::vector<std::int64_t>{1});
  header.add_tensor("a", TensorType::F32, std::vector<std::int64_t>{1});
  EXPECT_THROW(header.encode(), Error);
}

TEST(GgufWriter, LeavesTheOldFileAloneWhenNotFinished) {
  const TemporaryFolder folder;
  folder.write("model.gguf", "old");
  {
    GgufWriter writer(folder.file("model.gguf"), sample());
    writer.write(numbered(50, 1));
    EXPECT_THROW(writer.finish(), Error);
  }
  EXPECT_EQ(std::filesystem::file_size(folder.file("model.gguf")), 3u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace llm::formats
