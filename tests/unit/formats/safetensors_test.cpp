#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <llm/error.hpp>
#include <numeric>

#include "formats/safetensors_reader.h"
#include "formats/safetensors_writer.h"
#include "formats/weights_file.h"
#include "open_error.h"
#include "temporary_folder.h"

namespace llm::formats {
namespace {

using test::open_error;
using test::TemporaryFolder;
using ::testing::HasSubstr;

std::string safetensors(std::string_view header, std::size_t n_data_bytes) {
  const std::uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  out += header;
  for (std::size_t i = 0; i < n_data_bytes; ++i) out += static_cast<char>(i);
  return out;
}

// The message of the refusal; empty if the header is accepted.
std::string refusal(std::string_view header, std::size_t n_data_bytes) {
  const std::string file = safetensors(header, n_data_bytes);
  try {
    static_cast<void>(parse_safetensors(std::as_bytes(std::span(file)), "f"));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model);
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    return error.message();
  }
}

TEST(SafetensorsReader, ReadsShapesTypesAndRanges) {
  const std::string file = safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,3],"data_offsets":[8,20]},)"
      R"("a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"c":{"dtype":"U8","shape":[1,2,1,3,1],"data_offsets":[20,26]}}  )",
      26);
  const SafetensorsPart part = parse_safetensors(std::as_bytes(std::span(file)), "f");
  ASSERT_EQ(part.tensors.size(), 3u);
  EXPECT_EQ(part.tensors[0].name, "b");
  EXPECT_EQ(part.tensors[0].type, TensorType::F16);
  EXPECT_EQ(part.tensors[0].extent, (std::array<std::int64_t, 4>{3, 2, 1, 1}));
  EXPECT_EQ(part.tensors[0].n_bytes, 12u);
  EXPECT_EQ(static_cast<int>(*part.tensors[0].data), 8);
  EXPECT_EQ(part.tensors[1].n_dims, 0);
  EXPECT_EQ(part.tensors[1].n_elements(), 1);
  EXPECT_EQ(part.tensors[2].type, TensorType::I8);
  EXPECT_EQ(part.tensors[2].extent, (std::array<std::int64_t, 4>{1, 3, 1, 2}));
}

TEST(SafetensorsReader, RefusesWhatTheHeaderGetsWrong) {
  const auto entry = [](std::string_view shape, std::string_view offsets, std::string_view dtype = "F32") {
    return fmt::format(R"({{"a":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  EXPECT_EQ(refusal(entry("[2]", "[0,8]"), 8), "");
  EXPECT_THAT(refusal(entry("[2]", "[0,8]"), 7), HasSubstr("expected a range inside 7 bytes"));
  EXPECT_THAT(refusal(entry("[2]", "[0,8]"), 9), HasSubstr("9 bytes of tensor data, expected 8"));
  EXPECT_THAT(refusal(entry("[2]", "[4,12]"), 12), HasSubstr("a gap of tensor data at byte 0"));
  EXPECT_THAT(refusal(entry("[2]", "[8,0]"), 8), HasSubstr("data_offsets 8 to 0"));
  EXPECT_THAT(refusal(entry("[3]", "[0,8]"), 8), HasSubstr("expected 3 elements of type F32"));
  EXPECT_THAT(refusal(entry("[0]", "[0,0]"), 0), HasSubstr("dimension 0 is 0"));
  EXPECT_THAT(refusal(entry("[4294967296,4294967296]", "[0,0]"), 0), HasSubstr("more than 2^63 elements"));
  EXPECT_THAT(refusal(entry("[-1]", "[0,8]"), 8), HasSubstr("a negative number"));
  EXPECT_THAT(refusal(entry("[1.5]", "[0,8]"), 8), HasSubstr("no whole 64-bit number"));
  EXPECT_THAT(refusal(entry("[18446744073709551616]", "[0,8]"), 8), HasSubstr("no whole 64-bit number"));
  EXPECT_THAT(refusal(entry("[2]", "[0]"), 8), HasSubstr("two data_offsets"));
  EXPECT_THAT(refusal(entry("[2]", "[0,4,8]"), 8), HasSubstr("more than two data_offsets"));
  EXPECT_THAT(refusal(entry("[[2]]", "[0,8]"), 8), HasSubstr("an array where none is expected"));
  EXPECT_THAT(refusal(entry("[2]", "[0,8]", "F8_E4M3"), 8), HasSubstr("dtype 'F8_E4M3'"));
  EXPECT_THAT(refusal(entry("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), 4), HasSubstr("more than 16 dimensions"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],)"
                      R"("data_offsets":[2,6]}})",
                      6),
              HasSubstr("an overlap"));
  EXPECT_THAT(refusal("[]", 0), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refusal("{", 0), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal("{}x", 0), HasSubstr("no valid JSON"));
  EXPECT_THAT(refusal(R"({"a":3})", 0), HasSubstr("a number where none is expected"));
  EXPECT_THAT(refusal(std::string(1000000, '['), 0), HasSubstr("expected a JSON object"));
}

TEST(SafetensorsReader, ComparesTheHeadersLengthWithTheFile) {
  std::string file = safetensors("{}", 0);
  file[0] = 3;
  EXPECT_THROW(parse_safetensors(std::as_bytes(std::span(file)), "f"), Error);
  for (std::size_t i = 0; i < 8; ++i) file[i] = '\xff';
  EXPECT_THROW(parse_safetensors(std::as_bytes(std::span(file)), "f"), Error);
  EXPECT_THROW(parse_safetensors(std::as_bytes(std::span(file).first(7)), "f"), Error);
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model.safetensors");
  folder.write("config.json", R"({"model_type":"x"})");
  std::vector<float> logits(6);
  std::iota(logits.begin(), logits.end(), 0.5f);
  const std::vector<std::int32_t> ids = {7, -8};
  SafetensorsWriter writer(
      path, std::vector<SafetensorsEntry>{{"logits", TensorType::F32, {2, 3}}, {"input_ids", TensorType::I32, {2}}});
  writer.write(std::as_bytes(std::span(logits).first(1)));
  EXPECT_FALSE(std::filesystem::exists(path)) << "appears only when finished";
  writer.write(std::as_bytes(std::span(logits).subspan(1)));
  writer.write(std::as_bytes(std::span(ids)));
  writer.finish();

  const auto file = WeightsFile::open(folder.path());
  EXPECT_EQ(file->kind(), SourceKind::hugging_face);
  EXPECT_EQ(file->config_json(), R"({"model_type":"x"})");
  const TensorView* found = file->find_tensor("logits");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->extent, (std::array<std::int64_t, 4>{3, 2, 1, 1}));
  EXPECT_EQ(std::memcmp(found->data, logits.data(), found->n_bytes), 0);
  found = file->find_tensor("input_ids");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(std::memcmp(found->data, ids.data(), found->n_bytes), 0);
}

TEST(SafetensorsWriter, LeavesNothingBehindWhenNotFinished) {
  const TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder.file("x"), std::vector<SafetensorsEntry>{{"a", TensorType::F32, {1}}});
    EXPECT_THROW(writer.finish(), Error);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(HuggingFaceFolder, JoinsShards) {
  const TemporaryFolder folder;
  folder.write("config.json", "{}");
  folder.write("model-1.safetensors", safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  folder.write("model-2.safetensors", safetensors(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4));
  folder.write("model.safetensors.index.json",
               R"({"metadata":{"total_size":12,"x":{"y":["z"]}},"weight_map":{"a":"model-1.safetensors",)"
               R"("b":"model-2.safetensors"}})");
  const auto file = WeightsFile::open(folder.path());
  EXPECT_EQ(file->tensors().size(), 2u);
  ASSERT_NE(file->find_tensor("b"), nullptr);
  EXPECT_EQ(file->find_tensor("b")->n_bytes, 4u);
  EXPECT_EQ(WeightsFile::open(folder.file("model-1.safetensors"))->tensors().size(), 2u)
      << "a shard stands for its folder";
}

TEST(HuggingFaceFolder, GivesUnalignedTensorsAlignedAddresses) {
  const TemporaryFolder folder;
  folder.write("config.json", "{}");
  // 55 bytes of header: the data begin at byte 63.
  folder.write("model.safetensors", safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} )", 8));
  const auto file = WeightsFile::open(folder.path());
  const TensorView* tensor = file->find_tensor("a");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor->data) % 4, 0u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(static_cast<int>(tensor->data[i]), i);
}

TEST(HuggingFaceFolder, RefusesShardNamesThatLeaveTheFolder) {
  for (const std::string_view name :
       {"../model.safetensors", "/etc/passwd", "..", "", "a\\\\b", "sub/model.safetensors"}) {
    const TemporaryFolder folder;
    folder.write("config.json", "{}");
    folder.write("model.safetensors.index.json", fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", name));
    const std::optional<Error> error = open_error(folder.path());
    ASSERT_TRUE(error.has_value()) << name;
    EXPECT_EQ(error->code(), ErrorCode::model);
    EXPECT_THAT(error->message(), HasSubstr("expected a file name without a path"));
  }
}

TEST(HuggingFaceFolder, RefusesADamagedIndex) {
  const auto error_with = [](std::string_view index) {
    const TemporaryFolder folder;
    folder.write("config.json", "{}");
    folder.write("m.safetensors", safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
    folder.write("model.safetensors.index.json", index);
    const std::optional<Error> error = open_error(folder.path());
    return error ? fmt::format("{} {}", static_cast<int>(error->code()), error->message()) : "";
  };
  EXPECT_EQ(error_with(R"({"weight_map":{"a":"m.safetensors"}})"), "");
  EXPECT_THAT(error_with(R"({"weight_map":{"b":"m.safetensors"}})"), HasSubstr("tensor 'b' is not in 'm.safetensors'"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":1}})"), HasSubstr("is not given a file name"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":["m.safetensors"]}})"), HasSubstr("is not given a file name"));
  EXPECT_THAT(error_with(R"({"x":{"weight_map":{"a":"m.safetensors"}}})"), HasSubstr("weight_map is missing"));
  EXPECT_THAT(error_with("{}"), HasSubstr("weight_map is missing"));
  EXPECT_THAT(error_with(""), HasSubstr("no valid JSON"));
  EXPECT_THAT(error_with(std::string(100000, '[')), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(error_with(R"({"weight_map":{"a":"gone.safetensors"}})"), HasSubstr("4 "));
}

TEST(HuggingFaceFolder, NamesWhatIsMissing) {
  const TemporaryFolder folder;
  std::optional<Error> error = open_error(folder.path());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::model);
  EXPECT_THAT(error->message(), HasSubstr("config.json"));
  folder.write("config.json", "{}");
  error = open_error(folder.path());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::model);
  EXPECT_THAT(error->message(), HasSubstr("model.safetensors"));
  folder.write("pytorch_model.bin", "PK\x03\x04");
  error = open_error(folder.path());
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::model);
  EXPECT_THAT(error->message(), HasSubstr("never read"));
}

}  // namespace
}  // namespace llm::formats
