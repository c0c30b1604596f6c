#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "golden_entry.inc"
#include "model/family.h"
#include "model_runner.inc"
#include "temporary_folder.h"

// config.json of every golden folder with keys changed, taken out, or of another kind: the model is refused in one
// line, or it loads and a step of it runs.

namespace {

using llm::Error;
using llm::ErrorCode;
using llm::formats::WeightsFile;
using llm::model::Model;
using llm::model::ModelKind;
using nlohmann::json;

const json& strange_values() {
  static const json values = json::array({0,
                                          1,
                                          -1,
                                          2,
                                          3,
                                          5,
                                          16,
                                          17,
                                          64,
                                          65,
                                          1000,
                                          2147483647,
                                          2147483648u,
                                          1e18,
                                          0.5,
                                          -0.25,
                                          1e-30,
                                          1e30,
                                          true,
                                          false,
                                          nullptr,
                                          "",
                                          "auto",
                                          "silu",
                                          "rope",
                                          json::array(),
                                          json::array({0}),
                                          json::array({1, 1, 1, 1}),
                                          json::array({"conv", "mamba"}),
                                          json::array({json::array()}),
                                          json::object(),
                                          json::object({{"rope_type", "x"}})});
  return values;
}

json mutated(const json& original, std::mt19937& random) {
  json config = original;
  std::vector<std::string> keys;
  for (const auto& [key, value] : original.items()) {
    if (key != "model_type") keys.push_back(key);
  }
  for (std::size_t n = 1 + random() % 2; n > 0; --n) {
    json& value = config[keys[random() % keys.size()]];
    const std::size_t choice = random() % 4;
    if (choice == 0 && value.is_number_integer()) {
      value = value.get<std::int64_t>() + static_cast<std::int64_t>(random() % 5) - 2;
    } else if (choice == 1 && value.is_array() && !value.empty()) {
      value.erase(random() % value.size());
    } else if (choice == 1 && value.is_number()) {
      value = value.get<double>() * 2;
    } else {
      value = strange_values()[random() % strange_values().size()];
    }
  }
  return config;
}

// A few rows in two steps.
void run(const Model& model) {
  llm::model::ExecutorOptions options;
  options.n_threads = 1;
  options.max_rows = 8;
  options.max_context = 64;
  options.block_tokens = 32;
  options.kv_type = llm::TensorType::F32;
  ModelRunner runner(model, options);
  const std::vector<std::int32_t> ids = {3, 1, 4, 1, 5, 2};
  if (model.spec().kind == ModelKind::encoder_decoder) runner.encode(ids);
  if (model.spec().needs_whole_sequence()) {
    runner.run(ids);
    return;
  }
  runner.run(std::span(ids).first(4));
  runner.run(std::span(ids).subspan(4));
}

class ConfigMutation : public testing::TestWithParam<GoldenEntry> {};

TEST_P(ConfigMutation, IsRefusedInOneLineOrRuns) {
  const std::string from = GetParam().folder();
  std::ifstream in(from + "/config.json");
  const json original = json::parse(in);
  bool known = false;
  for (const llm::model::Family* family : llm::model::families()) {
    for (const std::string_view name : family->hugging_face) known = known || original["model_type"] == name;
  }
  const llm::test::TemporaryFolder folder;
  std::filesystem::create_symlink(from + "/model.safetensors", folder.file("model.safetensors"));
  constexpr int n_trials = 60;
  int n_refused = 0;
  for (int trial = 0; trial < n_trials; ++trial) {
    std::mt19937 random(static_cast<unsigned>(trial));
    const std::string text = mutated(original, random).dump();
    SCOPED_TRACE("seed " + std::to_string(trial) + ": " + text);
    folder.write("config.json", text);
    try {
      const std::unique_ptr<Model> model = Model::load(WeightsFile::open(folder.path()));
      run(*model);
    } catch (const Error& e) {
      EXPECT_TRUE(e.code() == ErrorCode::model || e.code() == ErrorCode::usage) << e.message();
      EXPECT_EQ(e.message().find('\n'), std::string::npos) << e.message();
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 0);
  if (known) {
    EXPECT_LT(n_refused, n_trials);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ConfigMutation, testing::ValuesIn(golden_entries()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
});

}  // namespace
