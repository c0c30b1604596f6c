#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <llm/error.hpp>
#include <memory>
#include <random>

#include "formats/adapter_file.h"
#include "golden_entry.inc"
#include "model_runner.inc"
#include "temporary_folder.h"

// Adapters of tests/data/lora against what PEFT computes, through each form of model and adapter that is there.

namespace {

namespace fs = std::filesystem;
using llm::formats::AdapterFile;
using llm::formats::WeightsFile;
using llm::model::Adapter;
using llm::model::ExecutorOptions;
using llm::model::Model;

// Of the standard deviation of the reference.
constexpr double bound = 5e-4;

struct Case {
  std::string name, model;
  bool model_gguf = false, adapter_gguf = false;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name << (c.model_gguf ? ", GGUF model" : ", folder")
       << (c.adapter_gguf ? ", GGUF adapter" : ", PEFT folder");
}

std::string folder_of(const std::string& name) {
  return std::string(LLM_TEST_DATA "/lora/") + name;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& entry : fs::directory_iterator(LLM_TEST_DATA "/lora")) {
    if (!entry.is_directory()) continue;
    Case c{.name = entry.path().filename().string(), .model = {}};
    std::ifstream(entry.path() / "model.txt") >> c.model;
    for (const bool model_gguf : {false, true}) {
      if (model_gguf && !fs::exists(LLM_TEST_DATA "/golden/" + c.model + "/model.gguf")) continue;
      for (const bool adapter_gguf : {false, true}) {
        if (adapter_gguf && !fs::exists(entry.path() / "adapter.gguf")) continue;
        c.model_gguf = model_gguf;
        c.adapter_gguf = adapter_gguf;
        all.push_back(c);
      }
    }
  }
  return all;
}

std::unique_ptr<Model> load(const Case& c, float scale = 1) {
  std::vector<Adapter> adapters;
  adapters.push_back({AdapterFile::open(folder_of(c.name) + (c.adapter_gguf ? "/adapter.gguf" : "")), scale});
  return Model::load(WeightsFile::open(LLM_TEST_DATA "/golden/" + c.model + (c.model_gguf ? "/model.gguf" : "")),
                     std::move(adapters));
}

// Largest difference in units of the reference's standard deviation.
double difference(const std::vector<float>& found, const std::vector<float>& reference) {
  if (found.size() != reference.size()) return INFINITY;
  double sum = 0, squares = 0, largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    sum += reference[i];
    squares += static_cast<double>(reference[i]) * reference[i];
    const double d = std::fabs(static_cast<double>(found[i]) - reference[i]);
    if (!(d <= largest)) largest = d;
  }
  const double n = static_cast<double>(found.size()), mean = sum / n;
  return largest / std::sqrt(squares / n - mean * mean);
}

class AdapterTest : public testing::TestWithParam<Case> {};

// Fused projections of these models lie in other orders in GGUF files.
bool is_refused(const Case& c) {
  return c.name == "gpt_neox-fused" && c.model_gguf != c.adapter_gguf;
}

TEST_P(AdapterTest, GivesTheLogitsOfPeft) {
  const Case& c = GetParam();
  if (is_refused(c)) {
    EXPECT_THROW(load(c), llm::Error);
    return;
  }
  const auto expected = read_arrays(folder_of(c.name) + "/expected.safetensors");
  const std::unique_ptr<Model> model = load(c);
  ModelRunner runner(*model, {.exact = true, .kv_type = llm::TensorType::F32});
  EXPECT_LT(difference(runner.run(expected.at("input_ids").ints).logits, expected.at("logits").floats), bound);
}

TEST_P(AdapterTest, GivesTheSameBitsForAnyThreadsAndChunks) {
  const Case& c = GetParam();
  if (is_refused(c)) return;
  const auto expected = read_arrays(folder_of(c.name) + "/expected.safetensors");
  const std::vector<std::int32_t>& ids = expected.at("input_ids").ints;
  const std::unique_ptr<Model> model = load(c);
  const std::vector<float> reference = ModelRunner(*model, {}).run(ids).logits;
  for (const int n_threads : {1, 2, 3}) {
    for (const int chunk : {1, 5, 0}) {
      EXPECT_EQ(ModelRunner(*model, {.n_threads = n_threads}).run(ids, chunk).logits, reference)
          << n_threads << " threads, chunks of " << chunk;
    }
  }
}

TEST_P(AdapterTest, ScaleZeroIsTheModelItself) {
  const Case& c = GetParam();
  if (is_refused(c)) return;
  const auto expected = read_arrays(folder_of(c.name) + "/expected.safetensors");
  const std::vector<std::int32_t>& ids = expected.at("input_ids").ints;
  const std::unique_ptr<Model> adapted = load(c, 0);
  const std::unique_ptr<Model> plain =
      Model::load(WeightsFile::open(LLM_TEST_DATA "/golden/" + c.model + (c.model_gguf ? "/model.gguf" : "")));
  EXPECT_EQ(ModelRunner(*adapted, {}).run(ids).logits, ModelRunner(*plain, {}).run(ids).logits);
}

INSTANTIATE_TEST_SUITE_P(All, AdapterTest, testing::ValuesIn(cases()));

// Two adapters at half strength are one at full strength.
TEST(Adapters, AddUp) {
  const Case c{.name = "llama-all", .model = "llama-gqa"};
  const auto expected = read_arrays(folder_of(c.name) + "/expected.safetensors");
  std::vector<Adapter> adapters;
  adapters.push_back({AdapterFile::open(folder_of(c.name)), 0.25f});
  adapters.push_back({AdapterFile::open(folder_of(c.name) + "/adapter.gguf"), 0.75f});
  const auto model = Model::load(WeightsFile::open(LLM_TEST_DATA "/golden/llama-gqa"), std::move(adapters));
  ModelRunner runner(*model, {.exact = true, .kv_type = llm::TensorType::F32});
  EXPECT_LT(difference(runner.run(expected.at("input_ids").ints).logits, expected.at("logits").floats), bound);
}

std::string message_of(const std::string& model, const std::string& adapter) {
  try {
    std::vector<Adapter> adapters;
    adapters.push_back({AdapterFile::open(adapter), 1});
    Model::load(WeightsFile::open(LLM_TEST_DATA "/golden/" + model), std::move(adapters));
  } catch (const llm::Error& error) {
    return error.message();
  }
  return {};
}

TEST(Adapters, RefusesOneOfAnotherModelByName) {
  EXPECT_NE(message_of("gpt2", folder_of("llama-all")).find("layers.0.mlp.down_proj"), std::string::npos);
  EXPECT_NE(message_of("gpt2", folder_of("llama-all") + "/adapter.gguf").find("expected 'gpt2'"), std::string::npos);
  EXPECT_NE(message_of("llama-headdim-mqa", folder_of("llama-all")).find("changes a matrix of shape"),
            std::string::npos);
  EXPECT_NE(message_of("llama-gqa", LLM_TEST_DATA "/golden/llama-gqa/model.gguf").find("expected 'adapter'"),
            std::string::npos);
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Bytes changed, removed or doubled, mostly in the first part, where headers are.
std::string mutated(std::string bytes, std::mt19937_64& random) {
  const int n_changes = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < n_changes; ++i) {
    const std::size_t range = random() % 4 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 3000);
    const std::size_t at = random() % range;
    switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes.erase(at, 1 + random() % 8);
        break;
      case 2:
        bytes.insert(at, bytes.substr(at, 1 + random() % 8));
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    }
  }
  return bytes;
}

TEST(Adapters, DamagedOnesAreRefusedOrRun) {
  constexpr std::uint64_t seed = 20260714;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const llm::test::TemporaryFolder folder;
  const std::string gguf = bytes_of(folder_of("llama-all") + "/adapter.gguf");
  const std::string weights = bytes_of(folder_of("llama-all") + "/adapter_model.safetensors");
  const std::string config = bytes_of(folder_of("llama-all") + "/adapter_config.json");
  int n_refused = 0;
  for (int i = 0; i < 600; ++i) {
    std::string path = folder.path();
    if (i % 3 == 0) {
      path = folder.write("adapter.gguf", mutated(gguf, random));
    } else {
      folder.write("adapter_model.safetensors", i % 3 == 1 ? mutated(weights, random) : weights);
      folder.write("adapter_config.json", i % 3 == 2 ? mutated(config, random) : config);
    }
    const std::string message = message_of("llama-gqa", path);
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    n_refused += message.empty() ? 0 : 1;
  }
  EXPECT_GT(n_refused, 200);
}

// What adapter_config.json says about methods that add something else.
class PeftConfigTest : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(PeftConfigTest, IsRefusedByName) {
  const auto& [key, value] = GetParam();
  const fs::path folder = fs::temp_directory_path() / ("llm_peft_" + std::to_string(::getpid()) + key);
  fs::create_directories(folder);
  fs::copy_file(folder_of("llama-all") + "/adapter_model.safetensors", folder / "adapter_model.safetensors",
                fs::copy_options::overwrite_existing);
  std::ofstream(folder / "adapter_config.json")
      << "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 6, \"" << key << "\": " << value << "}";
  EXPECT_NE(message_of("llama-gqa", folder.string()).find(key), std::string::npos);
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(All, PeftConfigTest,
                         testing::Values(std::pair{"use_dora", "true"}, std::pair{"bias", "\"all\""},
                                         std::pair{"modules_to_save", "[\"lm_head\"]"},
                                         std::pair{"peft_type", "\"IA3\""}, std::pair{"r", "8"},
                                         std::pair{"init_lora_weights", "\"pissa\""},
                                         std::pair{"rank_pattern", "{\".*q_proj\": 2}"},
                                         std::pair{"lora_alpha", "\"x\""},
                                         std::pair{"trainable_token_indices", "[1]"}));

}  // namespace
