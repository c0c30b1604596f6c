#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "formats/safetensors_writer.h"
#include "formats/weights_file.h"
#include "golden_entry.h"
#include "kernels/decode.h"
#include "temporary_folder.h"

// Masked-token heads of every family that has one: a golden encoder with a random head, beside the head evaluated in
// double precision on the reference's hidden states.

namespace {

using llm::formats::SafetensorsEntry;
using llm::formats::WeightsFile;

struct HeadNames {
  std::string entry;
  std::string dense, norm;  // with ".weight", ".bias"
  std::string output_bias;  // [n_vocab]
  std::string embedding;    // of tokens
  bool dense_bias = true, norm_bias = true;
  std::string activation = "gelu";  // exact
};

void PrintTo(const HeadNames& names, std::ostream* out) {
  *out << names.entry;
}

const HeadNames heads[] = {
    {"bert", "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias",
     "embeddings.word_embeddings.weight"},
    {"roberta", "lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "embeddings.word_embeddings.weight"},
    {"distilbert", "vocab_transform", "vocab_layer_norm", "vocab_projector.bias", "embeddings.word_embeddings.weight"},
    {"electra", "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias",
     "embeddings.word_embeddings.weight"},
    {"albert", "predictions.dense", "predictions.LayerNorm", "predictions.bias", "embeddings.word_embeddings.weight"},
    {"modernbert", "head.dense", "head.norm", "decoder.bias", "embeddings.tok_embeddings.weight", false, false}};

class MaskHead : public testing::TestWithParam<HeadNames> {
 protected:
  void SetUp() override {
    const std::string from = LLM_TEST_DATA "/golden/" + GetParam().entry;
    expected_ = read_arrays(from + "/expected.safetensors");
    std::ifstream in(from + "/config.json");
    config_ = nlohmann::json::parse(in);
    folder_.write("config.json", config_.dump());
    mask_ = expected_.at("input_ids").ints.at(5);
    write_vocabulary();
    add_head(from);
  }

  void write_vocabulary() const {
    nlohmann::json vocab, added = nlohmann::json::array();
    for (int id = 0; id < 80; ++id) vocab[id == mask_ ? "[MASK]" : "t" + std::to_string(id)] = id;
    added.push_back({{"id", mask_},
                     {"content", "[MASK]"},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    folder_.write("tokenizer.json", nlohmann::json({{"version", "1.0"},
                                                    {"added_tokens", added},
                                                    {"normalizer", nullptr},
                                                    {"pre_tokenizer", {{"type", "Whitespace"}}},
                                                    {"post_processor", nullptr},
                                                    {"decoder", nullptr},
                                                    {"model",
                                                     {{"type", "WordPiece"},
                                                      {"unk_token", "t0"},
                                                      {"continuing_subword_prefix", "##"},
                                                      {"max_input_chars_per_word", 100},
                                                      {"vocab", vocab}}}})
                                        .dump());
    folder_.write("tokenizer_config.json", R"({"mask_token": "[MASK]"})");
  }

  // The folder's weights and a random head as F32.
  void add_head(const std::string& from) {
    const HeadNames& names = GetParam();
    const auto file = WeightsFile::open(from);
    std::vector<SafetensorsEntry> entries;
    std::vector<std::vector<std::byte>> data;
    for (const auto& tensor : file->tensors()) {
      std::vector<std::int64_t> shape;
      for (int d = tensor.n_dims - 1; d >= 0; --d) shape.push_back(tensor.extent[static_cast<std::size_t>(d)]);
      entries.push_back({std::string(tensor.name), tensor.type, shape});
      data.emplace_back(tensor.data, tensor.data + tensor.n_bytes);
      if (!std::string(tensor.name).ends_with(names.embedding)) continue;
      width_ = tensor.extent[0];
      embedding_.resize(static_cast<std::size_t>(tensor.n_elements()));
      llm::kernels::decode_row(tensor.type, tensor.data, embedding_.data(), tensor.n_elements());
    }
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const std::int64_t n_embd = expected_.at("last_hidden").shape.at(1);
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, float mean, float spread) {
      std::int64_t count = 1;
      for (const std::int64_t extent : shape) count *= extent;
      std::vector<float>& values = head_[name];
      for (std::int64_t i = 0; i < count; ++i) values.push_back(mean + spread * normal(random));
      const auto bytes = std::as_bytes(std::span(values));
      entries.push_back({name, llm::TensorType::F32, std::move(shape)});
      data.emplace_back(bytes.begin(), bytes.end());
    };
    add(names.dense + ".weight", {width_, n_embd}, 0, 0.3f);
    if (names.dense_bias) add(names.dense + ".bias", {width_}, 0, 0.3f);
    add(names.norm + ".weight", {width_}, 1, 0.2f);
    if (names.norm_bias) add(names.norm + ".bias", {width_}, 0, 0.3f);
    add(names.output_bias, {80}, 0, 0.5f);
    llm::formats::SafetensorsWriter writer(folder_.file("model.safetensors"), entries);
    for (const auto& bytes : data) writer.write(bytes);
    writer.finish();
  }

  double value(const std::string& name, std::int64_t i, double otherwise) const {
    const auto found = head_.find(name);
    return found == head_.end() ? otherwise : found->second[static_cast<std::size_t>(i)];
  }

  // Log-probabilities of all tokens at a position.
  std::vector<double> reference(std::size_t position) const {
    const HeadNames& names = GetParam();
    const Array& hidden = expected_.at("last_hidden");
    const auto n_embd = static_cast<std::size_t>(hidden.shape.at(1)), width = static_cast<std::size_t>(width_);
    double eps = 1e-12;
    for (const char* key : {"layer_norm_eps", "norm_eps"}) eps = config_.value(key, eps);
    if (GetParam().entry == "distilbert") eps = 1e-12;
    std::vector<double> h(width);
    double mean = 0, variance = 0;
    for (std::size_t r = 0; r < width; ++r) {
      double sum = value(names.dense + ".bias", static_cast<std::int64_t>(r), 0);
      for (std::size_t k = 0; k < n_embd; ++k) {
        sum += static_cast<double>(head_.at(names.dense + ".weight")[r * n_embd + k]) *
               hidden.floats[position * n_embd + k];
      }
      const std::string act = names.entry == "albert" ? config_.value("hidden_act", "gelu_new") : "gelu";
      h[r] = act == "gelu" ? 0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0)))
                           : 0.5 * sum * (1 + std::tanh(std::sqrt(2 / M_PI) * (sum + 0.044715 * sum * sum * sum)));
      mean += h[r] / static_cast<double>(width);
    }
    for (const double x : h) variance += (x - mean) * (x - mean) / static_cast<double>(width);
    std::vector<double> logits(80);
    double total = 0;
    for (std::size_t v = 0; v < 80; ++v) {
      logits[v] = head_.at(names.output_bias)[v];
      for (std::size_t r = 0; r < width; ++r) {
        const double normed = (h[r] - mean) / std::sqrt(variance + eps) * head_.at(names.norm + ".weight")[r] +
                              value(names.norm + ".bias", static_cast<std::int64_t>(r), 0);
        logits[v] += normed * embedding_[v * width + r];
      }
      total += std::exp(logits[v]);
    }
    for (double& x : logits) x -= std::log(total);
    return logits;
  }

  llm::test::TemporaryFolder folder_;
  std::map<std::string, Array> expected_;
  nlohmann::json config_;
  std::map<std::string, std::vector<float>> head_;
  std::vector<float> embedding_;
  std::int64_t width_ = 0;
  int mask_ = 0;
};

TEST_P(MaskHead, GivesTheLikeliestTokens) {
  const llm::Model model = llm::Model::load(folder_.path());
  EXPECT_EQ(model.info().unused_tensors, std::vector<std::string>{});
  const std::vector<llm::TokenId>& ids = expected_.at("input_ids").ints;
  const std::vector<llm::FilledMask> masks = llm::fill(model, ids, {.engine = {.exact = true}, .top = 0});
  std::vector<std::size_t> positions, wanted;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == mask_) wanted.push_back(i);
  }
  for (const llm::FilledMask& mask : masks) {
    positions.push_back(mask.position);
    const std::vector<double> logprobs = reference(mask.position);
    ASSERT_EQ(mask.candidates.size(), 80u);
    double sum = 0, last = 0;
    for (const llm::FillCandidate& c : mask.candidates) {
      EXPECT_NEAR(c.logprob, logprobs[static_cast<std::size_t>(c.id)], 1e-4) << c.id;
      EXPECT_LE(c.logprob, last);
      EXPECT_DOUBLE_EQ(c.probability, std::exp(c.logprob));
      last = c.logprob;
      sum += c.probability;
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  EXPECT_EQ(positions, wanted);
}

TEST_P(MaskHead, TopIsTheBeginningOfAll) {
  const llm::Model model = llm::Model::load(folder_.path());
  const std::vector<llm::TokenId>& ids = expected_.at("input_ids").ints;
  const auto all = llm::fill(model, ids, {.top = 0}), top = llm::fill(model, ids, {.top = 3});
  ASSERT_EQ(top.size(), all.size());
  for (std::size_t i = 0; i < top.size(); ++i) {
    ASSERT_EQ(top[i].candidates.size(), 3u);
    for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(top[i].candidates[k].id, all[i].candidates[k].id);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, MaskHead, testing::ValuesIn(heads),
                         [](const auto& test) { return test.param.entry; });

using Fill = MaskHead;

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const llm::Error& error) {
    return error.message();
  }
  return "";
}

TEST_P(Fill, MasksAreSpelledInAnyOfThreeWays) {
  const llm::Model model = llm::Model::load(folder_.path());
  const auto ids = llm::encode_masked(model, "t3 [MASK] t4");
  EXPECT_EQ(ids, llm::encode_masked(model, "t3 <mask> t4"));
  EXPECT_EQ(ids, (std::vector<llm::TokenId>{3, mask_, 4}));
  EXPECT_THAT(error_of([&] { llm::fill(model, llm::encode_masked(model, "t3 t4")); }), testing::HasSubstr("[MASK]"));
}

INSTANTIATE_TEST_SUITE_P(Text, Fill, testing::Values(heads[0]));

TEST(FillRefusal, NamesWhatIsMissing) {
  const llm::Model decoder = llm::Model::load(LLM_TEST_DATA "/golden/llama-gqa");
  EXPECT_THAT(error_of([&] { llm::fill(decoder, {1, 2}); }), testing::HasSubstr("masked tokens"));
  const llm::Model encoder = llm::Model::load(LLM_TEST_DATA "/golden/bert");
  EXPECT_THAT(error_of([&] { llm::fill(encoder, {1, 2}); }), testing::HasSubstr("no head for masked tokens"));
}

}  // namespace
