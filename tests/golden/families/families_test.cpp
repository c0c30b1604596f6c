#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "golden_entry.inc"
#include "model_runner.inc"

// Every entry of tests/data/golden, through each file form that is there: logits of all positions, hidden states after
// every layer, greedy continuation; in one batch, in chunks, and token by token.

namespace {

using llm::formats::WeightsFile;
using llm::model::ExecutorOptions;
using llm::model::Model;
using llm::model::ModelKind;

// Of the standard deviation of the reference.
constexpr double bound = 5e-4;

struct Case {
  GoldenEntry entry;
  bool gguf = false;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.entry.name << (c.gguf ? " GGUF" : " folder");
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const GoldenEntry& entry : golden_entries()) {
    all.push_back({entry, false});
    if (entry.has_gguf) all.push_back({entry, true});
  }
  return all;
}

double deviation(const std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  for (const float v : values) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Largest difference in units of the reference's standard deviation.
double difference(const std::vector<float>& found, const std::vector<float>& reference) {
  if (found.size() != reference.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double d = std::fabs(static_cast<double>(found[i]) - reference[i]);
    if (!(d <= largest)) largest = d;
  }
  return largest / deviation(reference);
}

std::int32_t best(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

class GoldenTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    expected_ = read_arrays(c.entry.folder() + "/expected.safetensors");
    ids_ = expected_.at("input_ids").ints;
    model_ = Model::load(WeightsFile::open(c.entry.folder() + (c.gguf ? "/model.gguf" : "")));
  }

  ModelRunner runner(int n_threads = 2) const {
    ExecutorOptions options;
    options.n_threads = n_threads;
    options.max_rows = 64;
    options.max_context = 256;
    options.exact = true;
    options.kv_type = llm::TensorType::F32;
    options.block_tokens = 32;
    return ModelRunner(*model_, options);
  }

  void check(const std::string& what, const std::vector<float>& found) {
    ASSERT_TRUE(expected_.contains(what)) << what;
    EXPECT_LE(difference(found, expected_.at(what).floats), bound) << what;
  }
  void check_hidden(const std::string& prefix, const ModelRunner::Result& result) {
    for (const auto& [index, rows] : result.hidden) check(prefix + std::to_string(index), rows);
    EXPECT_FALSE(expected_.contains(prefix + std::to_string(result.hidden.size())));
  }

  void check_decoder(int chunk) {
    ModelRunner r = runner();
    const ModelRunner::Result result = r.run(ids_, chunk, 0, static_cast<std::int64_t>(ids_.size()));
    check("logits", result.logits);
    check_hidden("hidden.", result);
    if (expected_.contains("greedy")) check_greedy(r, result);
  }

  void check_encoder_decoder(int chunk) {
    ModelRunner r = runner();
    const ModelRunner::Result source = r.encode(ids_);
    check_hidden("enc_hidden.", source);
    const std::vector<std::int32_t>& target = expected_.at("decoder_input_ids").ints;
    const ModelRunner::Result result = r.run(target, chunk);
    check("logits", result.logits);
    check_hidden("dec_hidden.", result);
    check_greedy(r, result);
  }

  void check_greedy(ModelRunner& r, const ModelRunner::Result& prompt) {
    const std::size_t n_vocab = static_cast<std::size_t>(model_->spec().n_vocab);
    std::vector<std::int32_t> found = {best(std::span(prompt.logits).last(n_vocab))};
    const std::vector<std::int32_t>& greedy = expected_.at("greedy").ints;
    while (found.size() < greedy.size()) {
      const std::int32_t token = found.back();
      found.push_back(best(r.run({&token, 1}, 0, 0, static_cast<std::int64_t>(ids_.size())).logits));
    }
    EXPECT_EQ(found, greedy);
  }

  void check_encoder() {
    ModelRunner r = runner();
    const ModelRunner::Result result = r.run(ids_);
    check_hidden("hidden.", result);
    check("last_hidden", result.last_hidden);
    const std::size_t width = static_cast<std::size_t>(model_->spec().n_embd);
    std::vector<float> mean(width, 0);
    for (std::size_t i = 0; i < result.last_hidden.size(); ++i) {
      mean[i % width] += result.last_hidden[i] / static_cast<float>(ids_.size());
    }
    check("mean_pooled", mean);
  }

  std::map<std::string, Array> expected_;
  std::vector<std::int32_t> ids_;
  std::unique_ptr<Model> model_;
};

TEST_P(GoldenTest, AgreesInOneBatch) {
  switch (model_->spec().kind) {
    case ModelKind::decoder:
      return check_decoder(0);
    case ModelKind::encoder:
      return check_encoder();
    case ModelKind::encoder_decoder:
      return check_encoder_decoder(0);
  }
}

TEST_P(GoldenTest, AgreesTokenByTokenAndInChunks) {
  for (const int chunk : {1, 5}) {
    SCOPED_TRACE(chunk);
    switch (model_->spec().kind) {
      case ModelKind::decoder:
        check_decoder(chunk);
        break;
      case ModelKind::encoder:
        return check_encoder();
      case ModelKind::encoder_decoder:
        check_encoder_decoder(chunk);
        break;
    }
  }
}

// Bit for bit the same in any chunks, on any number of threads, and beside other sequences.
TEST_P(GoldenTest, BitsDoNotDependOnChunksThreadsOrNeighbours) {
  const bool whole = model_->spec().needs_whole_sequence();
  const bool translates = model_->spec().kind == ModelKind::encoder_decoder;
  const std::vector<std::int32_t>& ids = translates ? expected_.at("decoder_input_ids").ints : ids_;
  const auto begin = [&](ModelRunner& r, int sequence) {
    if (translates) r.encode(ids_, sequence);
  };
  ModelRunner plain = runner(1);
  begin(plain, 0);
  const ModelRunner::Result reference = plain.run(ids);
  for (const int n_threads : {1, 2, 3}) {
    for (const int chunk : {0, 1, 7}) {
      if (whole && chunk != 0) continue;
      ModelRunner r = runner(n_threads);
      begin(r, 0);
      const ModelRunner::Result result = r.run(ids, chunk);
      EXPECT_EQ(result.logits, reference.logits) << n_threads << " threads, chunk " << chunk;
      EXPECT_EQ(result.last_hidden, reference.last_hidden) << n_threads << " threads, chunk " << chunk;
    }
  }
  ExecutorOptions options;
  options.n_threads = 2;
  options.max_rows = 96;
  options.max_sequences = 3;
  options.max_context = 256;
  options.exact = true;
  options.kv_type = llm::TensorType::F32;
  options.block_tokens = 32;
  ModelRunner shared(*model_, options);
  for (const int sequence : {0, 1, 2}) begin(shared, sequence);
  const std::span<const std::int32_t> all(ids);
  const std::size_t half = all.size() / 2;
  if (whole) {
    const ModelRunner::Part parts[] = {{0, all.first(half)}, {1, all}, {2, all.last(3)}};
    const ModelRunner::Result result = shared.step(parts);
    const std::size_t width = static_cast<std::size_t>(model_->spec().n_embd);
    const std::vector<float> mine(
        result.last_hidden.begin() + static_cast<std::ptrdiff_t>(half * width),
        result.last_hidden.begin() + static_cast<std::ptrdiff_t>((half + all.size()) * width));
    EXPECT_EQ(mine, reference.last_hidden);
    return;
  }
  const std::size_t n_vocab = static_cast<std::size_t>(model_->spec().n_vocab);
  const ModelRunner::Part first[] = {{0, all.first(3)}, {1, all.first(half)}};
  const ModelRunner::Part second[] = {{1, all.subspan(half)}, {2, all.first(2)}, {0, all.subspan(3, 1)}};
  const ModelRunner::Result a = shared.step(first), b = shared.step(second);
  std::vector<float> mine(a.logits.begin() + static_cast<std::ptrdiff_t>(3 * n_vocab), a.logits.end());
  mine.insert(mine.end(), b.logits.begin(),
              b.logits.begin() + static_cast<std::ptrdiff_t>((all.size() - half) * n_vocab));
  EXPECT_EQ(mine, reference.logits);
}

TEST_P(GoldenTest, NothingOfTheFileIsLeftOut) {
  EXPECT_EQ(model_->unused_keys(), std::vector<std::string>{});
  EXPECT_EQ(model_->unused_tensors(), std::vector<std::string>{});
}

std::string name_of(const testing::TestParamInfo<Case>& test) {
  std::string name = test.param.entry.name + (test.param.gguf ? "_gguf" : "_folder");
  std::replace_if(
      name.begin(), name.end(), [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(cases()), name_of);

}  // namespace
