#include "formats/gguf_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>

#include "formats/weights_file.h"
#include "open_error.h"

namespace llm::formats {
namespace {

using test::open_error;
using ::testing::HasSubstr;

std::string data_path(const std::string& name) {
  return std::string(LLM_TEST_DATA) + "/gguf/" + name;
}

// Damage that only shows once the architecture is known: the container itself is sound.
bool needs_architecture(const std::string& name) {
  static const std::set<std::string> names = {"no-architecture.gguf", "block-count-string.gguf", "wrong-shape.gguf",
                                              "missing-tensor.gguf",  "head-count-0.gguf",       "layers-2e31.gguf",
                                              "vocab-mismatch.gguf",  "scores-short.gguf",       "eps-nan.gguf",
                                              "array-of-arrays.gguf"};
  return names.contains(name);
}

TEST(GgufReader, ReadsTheValidFile) {
  const auto file = WeightsFile::open(data_path("valid.gguf"));
  EXPECT_EQ(file->kind(), SourceKind::gguf);
  EXPECT_EQ(file->file_bytes(), 3776u);
  EXPECT_EQ(file->metadata().require_string("general.architecture"), "llama");
  EXPECT_EQ(file->metadata().require_uint("llama.block_count"), 1u);
  EXPECT_FLOAT_EQ(static_cast<float>(file->metadata().require_float("llama.attention.layer_norm_rms_epsilon")), 1e-5f);
  const auto tokens = file->metadata().find_strings("tokenizer.ggml.tokens");
  ASSERT_TRUE(tokens.has_value());
  ASSERT_EQ(tokens->size(), 16u);
  EXPECT_EQ(tokens->front(), "<unk>");
  EXPECT_EQ(tokens->back(), "ab");
  EXPECT_EQ(file->metadata().find_ints("tokenizer.ggml.token_type")->at(3), 6);
  EXPECT_EQ(file->metadata().find_floats("tokenizer.ggml.scores")->at(15), -12.0f);

  EXPECT_EQ(file->tensors().size(), 11u);
  const TensorView* k = file->find_tensor("blk.0.attn_k.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->n_dims, 2);
  EXPECT_EQ(k->extent, (std::array<std::int64_t, 4>{8, 4, 1, 1}));
  EXPECT_EQ(k->n_bytes, 128u);
  EXPECT_EQ(file->find_tensor("blk.0.attn_k"), nullptr);
  EXPECT_EQ(file->find_tensor(""), nullptr);
}

TEST(GgufReader, TreatsEverySharedCaseAsItsIndexSays) {
  std::ifstream stream(data_path("index.json"));
  const nlohmann::json index = nlohmann::json::parse(stream);
  ASSERT_GT(index.size(), 40u);
  for (const nlohmann::json& entry : index) {
    const std::string name = entry.at("file");
    SCOPED_TRACE(name + ": " + entry.at("why").get<std::string>());
    const std::optional<Error> error = open_error(data_path(name));
    if (entry.at("expected") == "error" && !needs_architecture(name)) {
      ASSERT_TRUE(error.has_value());
      EXPECT_EQ(error->code(), ErrorCode::model) << error->message();
      EXPECT_THAT(error->message(), HasSubstr(name.substr(0, 9)));
      EXPECT_EQ(error->message().find('\n'), std::string::npos);
    } else {
      EXPECT_FALSE(error.has_value()) << error->message();
    }
  }
}

TEST(GgufReader, JoinsThePartsOfASplitModel) {
  const auto file = WeightsFile::open(data_path("split-ok-00001-of-00002.gguf"));
  const auto whole = WeightsFile::open(data_path("valid.gguf"));
  ASSERT_EQ(file->tensors().size(), whole->tensors().size());
  for (const TensorView& expected : whole->tensors()) {
    const TensorView* found = file->find_tensor(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    ASSERT_EQ(found->n_bytes, expected.n_bytes);
    EXPECT_EQ(std::memcmp(found->data, expected.data, expected.n_bytes), 0) << expected.name;
  }
  EXPECT_EQ(file->file_bytes(), 2752u + 1248u);
}

TEST(GgufReader, NamesTheFirstPartWhenAnotherIsGiven) {
  const std::optional<Error> error = open_error(data_path("split-ok-00002-of-00002.gguf"));
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::model);
  EXPECT_THAT(error->message(), HasSubstr("split-ok-00001-of-00002.gguf"));
}

TEST(GgufReader, AFileThatIsNotThereIsAnIoError) {
  const std::optional<Error> error = open_error(data_path("no-such-file.gguf"));
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::io);
  EXPECT_THAT(error->message(), HasSubstr("No such file"));
}

}  // namespace
}  // namespace llm::formats
