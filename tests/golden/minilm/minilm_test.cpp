#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <llm/files.hpp>
#include <llm/llm.hpp>
#include <nlohmann/json.hpp>

#include "golden_entry.inc"
#include "temporary_folder.h"

// A real sentence-embedding model, all-MiniLM-L6-v2 (tools/fetch_model.sh minilm), beside its double-precision
// reference: tests/data/golden/minilm.

namespace {

std::string model_path() {
  if (const char* path = std::getenv("LLM_TEST_EMBED_MODEL")) return path;
  return LLM_SOURCE_DIR "/models/all-MiniLM-L6-v2";
}

const std::map<std::string, Array>& expected() {
  static const std::map<std::string, Array> arrays = read_arrays(LLM_TEST_DATA "/golden/minilm/expected.safetensors");
  return arrays;
}

std::vector<std::string> texts() {
  std::ifstream in(LLM_TEST_DATA "/golden/minilm/texts.json");
  return nlohmann::json::parse(in)["texts"].get<std::vector<std::string>>();
}

std::vector<float> reference(std::size_t text) {
  const Array& all = expected().at("embeddings");
  const auto width = static_cast<std::ptrdiff_t>(all.shape.at(1));
  const auto begin = all.floats.begin() + static_cast<std::ptrdiff_t>(text) * width;
  return {begin, begin + width};
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}
double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

class MiniLm : public testing::Test {
 protected:
  // All texts, as many in one step as fit.
  static std::vector<std::vector<float>> embed(const llm::Model& model, bool exact, int max_sequences = 8) {
    llm::Engine engine(model, {.kv_type = llm::KvType::f32, .exact = exact, .max_sequences = max_sequences});
    const std::vector<std::string> all = texts();
    std::vector<std::vector<float>> vectors(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      engine.submit_embed(model.tokenizer()->encode(all[i], {.add_special = true}), {},
                          [&vectors, i](const llm::EmbedResult& result) {
                            EXPECT_EQ(result.error, "");
                            vectors[i] = result.values;
                          });
    }
    while (engine.step()) {
    }
    return vectors;
  }

  static void expect_reference(const llm::Model& model) {
    const std::vector<std::vector<float>> exact = embed(model, true), usual = embed(model, false);
    ASSERT_EQ(exact.size(), 8u);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const std::vector<float> wanted = reference(i);
      ASSERT_EQ(exact[i].size(), wanted.size());
      float largest = 0;
      for (std::size_t k = 0; k < wanted.size(); ++k) largest = std::max(largest, std::fabs(exact[i][k] - wanted[k]));
      EXPECT_LE(largest, 1e-5f) << "text " << i;
      EXPECT_GE(cosine(usual[i], wanted), 0.9999) << "text " << i;
      for (std::size_t j = 0; j < exact.size(); ++j) {
        EXPECT_NEAR(dot(exact[i], exact[j]), expected().at("similarity").floats[8 * i + j], 1e-5);
      }
    }
  }
};

TEST_F(MiniLm, CutsTextsAsItsOwnTokenizer) {
  const llm::Tokenizer tokenizer = llm::Tokenizer::open(model_path());
  const std::vector<std::string> all = texts();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(all[i], {.add_special = true}), expected().at("ids." + std::to_string(i)).ints);
  }
}

TEST_F(MiniLm, GivesTheReferenceVectors) {
  const llm::Model model = llm::Model::load(model_path());
  EXPECT_EQ(model.info().pooling, "mean");
  EXPECT_EQ(model.info().unused_tensors, std::vector<std::string>{});
  EXPECT_EQ(model.info().unused_keys, std::vector<std::string>{});
  expect_reference(model);
}

TEST_F(MiniLm, BatchesDoNotChangeVectors) {
  const llm::Model model = llm::Model::load(model_path());
  EXPECT_EQ(embed(model, false, 8), embed(model, false, 1));
}

// Weights, vocabulary and pooling through a GGUF file.
TEST_F(MiniLm, GivesTheReferenceVectorsAsGguf) {
  const llm::test::TemporaryFolder folder;
  const llm::Conversion done = llm::convert(model_path(), folder.file("m.gguf"));
  EXPECT_EQ(done.architecture, "bert");
  EXPECT_EQ(done.vocabulary, "WordPiece");
  const llm::Model model = llm::Model::load(folder.file("m.gguf"));
  EXPECT_EQ(model.info().pooling, "mean");
  const std::vector<std::string> all = texts();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(model.tokenizer()->encode(all[i], {.add_special = true}), expected().at("ids." + std::to_string(i)).ints);
  }
  expect_reference(model);
}

}  // namespace
