#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "golden_entry.inc"
#include "kernels/kernels.h"
#include "model_runner.inc"

// One-layer models in every weight type (tests/data/quants/models) beside a float64 pass over their dequantised
// weights, and beside the error that llama.cpp makes on the same files (peer-errors.json).

namespace {

using llm::TensorType;
using llm::formats::WeightsFile;
using llm::model::ExecutorOptions;
using llm::model::Model;

const std::string folder = LLM_TEST_DATA "/quants/";

const nlohmann::json& peer_errors() {
  static const nlohmann::json errors = nlohmann::json::parse(std::ifstream(folder + "peer-errors.json"));
  return errors;
}

// Distance from the reference in units of its standard deviation.
struct Distance {
  double max = 0, rms = 0;
};

Distance distance(const std::vector<float>& found, const std::vector<float>& reference) {
  double sum = 0, squares = 0, error = 0;
  Distance d;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    sum += reference[i];
    squares += static_cast<double>(reference[i]) * reference[i];
    const double difference = static_cast<double>(found[i]) - reference[i];
    error += difference * difference;
    if (!(std::fabs(difference) <= d.max)) d.max = std::fabs(difference);
  }
  const double n = static_cast<double>(reference.size());
  const double deviation = std::sqrt(squares / n - sum / n * (sum / n));
  d.max /= deviation;
  d.rms = std::sqrt(error / n) / deviation;
  return d;
}

class QuantisedModelTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string& name = GetParam();
    const std::size_t dash = name.find('-');
    const std::string shape = name.substr(0, dash);
    static const std::map<std::string, Array> arrays = read_arrays(folder + "models/expected.safetensors");
    ids_ = arrays.at(shape + ".input_ids").ints;
    expected_ = arrays.at(shape + "." + name.substr(dash + 1) + ".logits").floats;
    model_ = Model::load(WeightsFile::open(folder + "models/" + name + ".gguf"));
  }

  ModelRunner runner(bool exact, TensorType kv_type, int n_threads) const {
    ExecutorOptions options;
    options.n_threads = n_threads;
    options.max_rows = 128;
    options.max_sequences = 4;
    options.max_context = 64;
    options.exact = exact;
    options.kv_type = kv_type;
    options.block_tokens = 32;
    return ModelRunner(*model_, options);
  }
  Distance run(bool exact, TensorType kv_type, int chunk) const {
    return distance(runner(exact, kv_type, 2).run(ids_, chunk).logits, expected_);
  }

  std::vector<std::int32_t> ids_;
  std::vector<float> expected_;
  std::unique_ptr<Model> model_;
};

TEST_P(QuantisedModelTest, ExactModeComputesTheDequantisedWeightsInFloat) {
  EXPECT_LE(run(true, TensorType::F32, 0).max, 1e-4);
  EXPECT_LE(run(true, TensorType::F32, 1).max, 1e-4);
}

TEST_P(QuantisedModelTest, DefaultModeErrsNoMoreThanLlamaCpp) {
  constexpr Distance float_rounding{4e-6, 1e-6};  // what sums in another order change
  const struct {
    const char* peer;
    TensorType kv_type;
    int chunk;
  } runs[] = {{"batch", TensorType::F16, 0},
              {"step", TensorType::F16, 1},
              {"batch32", TensorType::F32, 0},
              {"step32", TensorType::F32, 1}};
  for (const auto& r : runs) {
    const nlohmann::json& peer = peer_errors().at(GetParam()).at(r.peer);
    const Distance ours = run(false, r.kv_type, r.chunk);
    EXPECT_LE(ours.rms, std::max(peer.at("rms").get<double>(), float_rounding.rms)) << r.peer;
    EXPECT_LE(ours.max, std::max(peer.at("max").get<double>(), float_rounding.max)) << r.peer;
  }
}

TEST_P(QuantisedModelTest, LogitsHaveTheSameBitsForAnyThreadsChunksAndNeighbours) {
  for (const bool exact : {false, true}) {
    const std::vector<float> whole = runner(exact, TensorType::F16, 1).run(ids_).logits;
    for (const int n_threads : {1, 2, 3}) {
      for (const int chunk : {1, 2, 5, 11, 17}) {
        EXPECT_EQ(runner(exact, TensorType::F16, n_threads).run(ids_, chunk).logits, whole)
            << "exact " << exact << " threads " << n_threads << " chunk " << chunk;
      }
      for (const std::size_t n_before : {1u, 7u, 16u, 30u}) {
        ModelRunner r = runner(exact, TensorType::F16, n_threads);
        const ModelRunner::Part parts[] = {
            {1, std::span(ids_).last(n_before)}, {0, ids_}, {2, std::span(ids_).first(3)}};
        const std::vector<float> all = r.step(parts).logits;
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(n_before * whole.size() / ids_.size());
        EXPECT_TRUE(std::equal(whole.begin(), whole.end(), begin))
            << "exact " << exact << " threads " << n_threads << " behind " << n_before << " rows";
      }
    }
  }
}

// The tests above, for every other instruction set of this machine: a process each, since a process keeps its first
// one.
TEST(InstructionSets, EachKeepsThePromises) {
  if (std::getenv("LLMGEN_ISA") != nullptr) return;  // this is such a process
  const auto tables = llm::kernels::available_kernels();
  for (std::size_t i = 1; i < tables.size(); ++i) {
    const std::string command = std::string("LLMGEN_ISA=") + tables[i]->name + " '" +
                                std::filesystem::read_symlink("/proc/self/exe").string() +
                                "' --gtest_brief=1 --gtest_filter='All/*'";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, errors] : peer_errors().items()) all.push_back(name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, QuantisedModelTest, testing::ValuesIn(names()), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
