#include "formats/llama2c_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <cmath>
#include <llm/error.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "formats/weights_file.h"
#include "open_error.h"
#include "temporary_folder.h"

namespace llm::formats {
namespace {

using test::open_error;
using test::TemporaryFolder;
using ::testing::HasSubstr;

// Writes checkpoints the way export.py of llama2.c does, and remembers the numbers put under each name.
class Checkpoint {
 public:
  std::int32_t dim = 8, hidden_dim = 12, n_layers = 2, n_heads = 2, n_kv_heads = 1, vocab_size = 5, max_seq_len = 6;
  bool tied = true;
  std::int32_t group_size = 8;                       // of hidden_dim 12 no divisor: groups run on into the next row
  std::map<std::string, std::vector<float>> values;  // after quantisation
  std::string bytes;

  void write(int version) {
    if (version > 0) {
      put(std::uint32_t{0x616b3432});
      put(std::int32_t{version});
    }
    for (const std::int32_t n : {dim, hidden_dim, n_layers, n_heads, n_kv_heads}) put(n);
    put(version == 0 && !tied ? -vocab_size : vocab_size);
    put(max_seq_len);
    if (version > 0) {
      put(std::uint8_t{tied});
      if (version == 2) put(group_size);
      bytes.resize(256, '\0');
    }
    version == 0 ? write_v0() : write_v1_or_v2(version == 2);
  }

 private:
  template <typename T>
  void put(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void floats(const std::string& name, std::int32_t n) {
    std::vector<float>& numbers = values[name];
    for (std::int32_t i = 0; i < n; ++i) {
      numbers.push_back(uniform_(random_));
      put(numbers.back());
    }
  }

  void quantised(const std::string& name, std::int32_t n) {
    std::vector<float>& numbers = values[name];
    std::vector<std::int8_t> integers;
    for (std::int32_t i = 0; i < n; ++i) {
      integers.push_back(static_cast<std::int8_t>(random_() % 255 - 127));
      put(integers.back());
    }
    for (std::int32_t i = 0; i < n; i += group_size) {
      const float scale = uniform_(random_) / 64;
      put(scale);
      for (std::int32_t j = 0; j < group_size; ++j) {
        numbers.push_back(static_cast<float>(integers[static_cast<std::size_t>(i + j)]) * scale);
      }
    }
  }

  template <typename Write>
  void layers(const std::string& name, std::int32_t n, Write write_one) {
    for (std::int32_t i = 0; i < n_layers; ++i) write_one(fmt::format("model.layers.{}.{}.weight", i, name), n);
  }

  void write_v0() {
    const auto plain = [this](const std::string& name, std::int32_t n) { floats(name, n); };
    const std::int32_t kv_dim = dim / n_heads * n_kv_heads;
    floats("model.embed_tokens.weight", vocab_size * dim);
    layers("input_layernorm", dim, plain);
    layers("self_attn.q_proj", dim * dim, plain);
    layers("self_attn.k_proj", kv_dim * dim, plain);
    layers("self_attn.v_proj", kv_dim * dim, plain);
    layers("self_attn.o_proj", dim * dim, plain);
    layers("post_attention_layernorm", dim, plain);
    layers("mlp.gate_proj", hidden_dim * dim, plain);
    layers("mlp.down_proj", hidden_dim * dim, plain);
    layers("mlp.up_proj", hidden_dim * dim, plain);
    floats("model.norm.weight", dim);
    floats("rotary tables", max_seq_len * dim / n_heads);
    if (!tied) floats("lm_head.weight", vocab_size * dim);
  }

  void write_v1_or_v2(bool quantise) {
    const auto plain = [this](const std::string& name, std::int32_t n) { floats(name, n); };
    const auto matrix = [this, quantise](const std::string& name, std::int32_t n) {
      quantise ? quantised(name, n) : floats(name, n);
    };
    const std::int32_t kv_dim = dim / n_heads * n_kv_heads;
    layers("input_layernorm", dim, plain);
    layers("post_attention_layernorm", dim, plain);
    floats("model.norm.weight", dim);
    matrix("model.embed_tokens.weight", vocab_size * dim);
    layers("self_attn.q_proj", dim * dim, matrix);
    layers("self_attn.k_proj", kv_dim * dim, matrix);
    layers("self_attn.v_proj", kv_dim * dim, matrix);
    layers("self_attn.o_proj", dim * dim, matrix);
    layers("mlp.gate_proj", hidden_dim * dim, matrix);
    layers("mlp.down_proj", hidden_dim * dim, matrix);
    layers("mlp.up_proj", hidden_dim * dim, matrix);
    if (!tied) matrix("lm_head.weight", vocab_size * dim);
  }

  std::mt19937 random_{20240607};
  std::uniform_real_distribution<float> uniform_{-1, 1};
};

class Llama2cVersions : public ::testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(Llama2cVersions, HoldTheNumbersThatWereExported) {
  const auto [version, tied] = GetParam();
  Checkpoint checkpoint;
  checkpoint.tied = tied;
  checkpoint.write(version);
  const TemporaryFolder folder;
  const auto file = WeightsFile::open(folder.write("model.bin", checkpoint.bytes));
  EXPECT_EQ(file->kind(), SourceKind::llama2c);
  checkpoint.values.erase("rotary tables");
  EXPECT_EQ(file->tensors().size(), checkpoint.values.size());
  for (const auto& [name, numbers] : checkpoint.values) {
    const TensorView* tensor = file->find_tensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->type, TensorType::F32);
    ASSERT_EQ(tensor->n_bytes, numbers.size() * sizeof(float)) << name;
    EXPECT_EQ(std::memcmp(tensor->data, numbers.data(), tensor->n_bytes), 0) << name;
  }
  EXPECT_EQ(file->find_tensor("model.layers.1.mlp.down_proj.weight")->extent,
            (std::array<std::int64_t, 4>{12, 8, 1, 1}));
  EXPECT_EQ(file->find_tensor("model.layers.1.self_attn.k_proj.weight")->extent,
            (std::array<std::int64_t, 4>{8, 4, 1, 1}));
  EXPECT_EQ(file->find_tensor("model.norm.weight")->n_dims, 1);

  const nlohmann::json config = nlohmann::json::parse(file->config_json());
  EXPECT_EQ(config.at("model_type"), "llama");
  EXPECT_EQ(config.at("architectures"), nlohmann::json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(config.at("hidden_size"), 8);
  EXPECT_EQ(config.at("intermediate_size"), 12);
  EXPECT_EQ(config.at("num_key_value_heads"), 1);
  EXPECT_EQ(config.at("vocab_size"), 5);
  EXPECT_EQ(config.at("max_position_embeddings"), 6);
  EXPECT_EQ(config.at("tie_word_embeddings"), tied);
}

INSTANTIATE_TEST_SUITE_P(All, Llama2cVersions, ::testing::Combine(::testing::Values(0, 1, 2), ::testing::Bool()));

TEST(Llama2cReader, GivesLargeQuantisedMatricesAsQ8) {
  Checkpoint checkpoint;
  checkpoint.dim = 64;
  checkpoint.hidden_dim = 64;
  checkpoint.group_size = 64;
  checkpoint.write(2);
  const TemporaryFolder folder;
  const WeightsContents contents = read_llama2c(MappedFile(folder.write("model.bin", checkpoint.bytes)), 1000);
  for (const TensorView& tensor : contents.tensors) {
    SCOPED_TRACE(tensor.name);
    const std::vector<float>& expected = checkpoint.values.at(std::string(tensor.name));
    if (tensor.n_dims == 1) {
      EXPECT_EQ(tensor.type, TensorType::F32);
      continue;
    }
    ASSERT_EQ(tensor.type, TensorType::Q8_0);
    ASSERT_EQ(tensor.n_bytes, expected.size() / 32 * 34);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::byte* block = tensor.data + i / 32 * 34;
      std::uint16_t half = 0;
      std::memcpy(&half, block, sizeof half);
      // A normal half: 2^(exponent - 15) * (1 + significand / 1024).
      const float scale = std::ldexp(1.0f + static_cast<float>(half & 0x3ff) / 1024, (half >> 10 & 0x1f) - 15);
      const float sign = (half & 0x8000) != 0 ? -1.0f : 1.0f;
      const float value = sign * scale * static_cast<float>(static_cast<std::int8_t>(block[2 + i % 32]));
      // Half of the last place of the scale.
      ASSERT_NEAR(value, expected[i], std::abs(expected[i]) * 0x1p-11f + 1e-7f) << i;
    }
  }
}

TEST(Llama2cReader, RefusesAFileOfTheWrongLength) {
  for (const int version : {0, 1, 2}) {
    Checkpoint checkpoint;
    checkpoint.write(version);
    const TemporaryFolder folder;
    for (const int change : {-1, 1}) {
      std::string bytes = checkpoint.bytes;
      bytes.resize(bytes.size() + static_cast<std::size_t>(change));
      const std::optional<Error> error = open_error(folder.write("model.bin", bytes));
      ASSERT_TRUE(error.has_value()) << version;
      EXPECT_EQ(error->code(), ErrorCode::model);
      EXPECT_THAT(error->message(), HasSubstr("bytes of weights"));
    }
  }
}

TEST(Llama2cReader, RefusesImpossibleHeaders) {
  const TemporaryFolder folder;
  const auto refused = [&](auto change, int version, std::string_view what) {
    Checkpoint checkpoint;
    checkpoint.write(version);
    Checkpoint damaged = checkpoint;
    change(damaged.bytes);
    const std::optional<Error> error = open_error(folder.write("model.bin", damaged.bytes));
    ASSERT_TRUE(error.has_value()) << what;
    EXPECT_EQ(error->code(), ErrorCode::model);
    EXPECT_THAT(error->message(), HasSubstr(std::string(what)));
  };
  const auto number_at = [](std::size_t at, std::int32_t value) {
    return [=](std::string& bytes) { std::memcpy(bytes.data() + at, &value, sizeof value); };
  };
  refused(number_at(4, 3), 1, "version 3, expected 1 or 2");
  refused(number_at(8, 0), 1, "expected sizes of a model");
  refused(number_at(20, 0), 1, "expected sizes of a model");
  refused(number_at(20, 3), 1, "expected sizes of a model");
  refused(number_at(24, -1), 1, "expected sizes of a model");
  refused(number_at(16, 0x7fffffff), 1, "expected sizes of a model");
  refused(number_at(37, 0), 2, "group size 0");
  refused(number_at(37, 3), 2, "group size 3");
  refused(number_at(0, 0), 0, "is no model");
  refused([](std::string& bytes) { bytes.resize(100); }, 2, "ends inside the llama2.c header");
  refused([](std::string& bytes) { bytes.resize(6); }, 2, "ends inside the llama2.c header");
}

}  // namespace
}  // namespace llm::formats
