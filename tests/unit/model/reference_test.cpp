#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "formats/safetensors_writer.h"
#include "model_runner.inc"
#include "reference_llama.inc"
#include "temporary_folder.h"

// Random tiny models of the llama kind against the plain double-precision forward pass of tests/support.

namespace {

using llm::TensorType;
using llm::formats::SafetensorsEntry;
using llm::formats::SafetensorsWriter;
using llm::formats::WeightsFile;
using llm::model::ExecutorOptions;
using llm::model::Model;

template <typename T>
T pick(std::mt19937& random, std::initializer_list<T> choices) {
  return choices.begin()[random() % choices.size()];
}

ReferenceLlama random_model(std::mt19937& random) {
  ReferenceLlama m;
  m.n_vocab = pick(random, {33, 48, 70});
  m.n_embd = pick(random, {16, 24, 40});
  m.n_layer = pick(random, {1, 2, 3});
  m.n_head_kv = pick(random, {1, 2, 3});
  m.n_head = m.n_head_kv * pick(random, {1, 2, 4});
  m.head_dim = pick(random, {4, 6, 8, 16});
  m.n_ff = pick(random, {12, 32, 50});
  m.eps = pick(random, {1e-6, 1e-2});
  m.activation = pick<const char*>(random, {"silu", "gelu", "gelu_new", "relu", "relu2"});
  m.attention_bias = random() % 2 == 0;
  m.mlp_bias = random() % 2 == 0;
  m.tied = random() % 2 == 0;
  m.window = pick(random, {0, 0, 5, 9});
  m.rope_base = pick(random, {100.0, 10'000.0});
  m.rope_type = pick<const char*>(random, {"", "linear", "llama3", "yarn"});
  m.rope_factor = pick(random, {2.0, 4.0});
  m.original_context = pick(random, {16.0, 64.0});
  std::normal_distribution<float> normal;
  for (const auto& [name, shape] : m.shapes()) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    std::vector<float>& values = m.tensors[name];
    const bool is_norm = name.ends_with("norm.weight");
    const float spread = is_norm ? 0.2f : 0.35f;
    for (std::size_t i = 0; i < count; ++i) values.push_back((is_norm ? 1.0f : 0.0f) + spread * normal(random));
  }
  return m;
}

void write(const ReferenceLlama& m, const llm::test::TemporaryFolder& folder) {
  folder.write("config.json", m.config_json());
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, shape] : m.shapes()) entries.push_back({name, TensorType::F32, shape});
  SafetensorsWriter writer(folder.file("model.safetensors"), entries);
  for (const SafetensorsEntry& entry : entries) writer.write(std::as_bytes(std::span(m.tensors.at(entry.name))));
  writer.finish();
}

std::vector<float> evaluate(const std::string& path, std::span<const std::int32_t> ids, int chunk) {
  const std::unique_ptr<Model> model = Model::load(WeightsFile::open(path));
  ExecutorOptions options;
  options.n_threads = 2;
  options.max_rows = 64;
  options.max_context = 64;
  options.exact = true;
  options.kv_type = TensorType::F32;
  options.block_tokens = 32;
  return ModelRunner(*model, options).run(ids, chunk).logits;
}

// What float32 arithmetic may differ by, in units of the reference's standard deviation (tests/data/golden/README.md).
constexpr double bound = 1e-4;

// In units of the reference's standard deviation.
double difference(const std::vector<float>& found, const std::vector<double>& expected) {
  double sum = 0, squares = 0, largest = 0;
  for (const double v : expected) sum += v;
  const double mean = sum / static_cast<double>(expected.size());
  for (const double v : expected) squares += (v - mean) * (v - mean);
  for (std::size_t i = 0; i < expected.size(); ++i) largest = std::max(largest, std::fabs(found.at(i) - expected[i]));
  return largest / std::sqrt(squares / static_cast<double>(expected.size()));
}

TEST(LlamaKind, AgreesWithPlainForwardPassForRandomOptions) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const ReferenceLlama m = random_model(random);
    const llm::test::TemporaryFolder folder;
    write(m, folder);
    std::vector<std::int32_t> ids(5 + random() % 40);
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % static_cast<unsigned>(m.n_vocab));
    const std::vector<double> expected = m.logits(ids);
    for (const int chunk : {0, 1, 6}) {
      EXPECT_LE(difference(evaluate(folder.path(), ids, chunk), expected), bound)
          << "seed " << seed << ", chunk " << chunk << ": " << m.config_json();
    }
  }
}

// Each option, changed in the file alone, must show.
TEST(LlamaKind, EveryOptionChangesTheResult) {
  std::mt19937 random(7);
  ReferenceLlama m = random_model(random);
  m.window = 5;
  m.activation = "silu";
  m.rope_type = "linear";
  m.rope_factor = 4;
  const std::vector<std::int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9};
  const std::vector<double> expected = m.logits(ids);
  const auto changed = [&](auto change) {
    ReferenceLlama other = m;
    change(other);
    const llm::test::TemporaryFolder folder;
    write(other, folder);
    return difference(evaluate(folder.path(), ids, 0), expected);
  };
  EXPECT_LE(changed([](ReferenceLlama&) {}), bound);
  EXPECT_GE(changed([](ReferenceLlama& o) { o.eps = 0.3; }), 1e-3);
  EXPECT_GE(changed([](ReferenceLlama& o) { o.activation = "relu"; }), 1e-3);
  EXPECT_GE(changed([](ReferenceLlama& o) { o.window = 7; }), 1e-3);
  EXPECT_GE(changed([](ReferenceLlama& o) { o.rope_base *= 3; }), 1e-3);
  EXPECT_GE(changed([](ReferenceLlama& o) { o.rope_factor = 2; }), 1e-3);
  EXPECT_GE(changed([](ReferenceLlama& o) { o.rope_type = ""; }), 1e-3);
  for (const auto& [name, values] : m.tensors) {
    const double moved =
        changed([&](ReferenceLlama& o) { std::fill(o.tensors.at(name).begin(), o.tensors.at(name).end(), 0.0f); });
    if (name.ends_with("k_proj.bias")) continue;  // cancels in the softmax
    EXPECT_GE(moved, 1e-3) << name;
  }
}

}  // namespace
