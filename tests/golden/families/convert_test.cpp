#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <llm/files.hpp>
#include <map>
#include <memory>
#include <set>

#include "golden_entry.h"
#include "kernels/decode.h"
#include "model/family.h"
#include "model/model.h"
#include "model_runner.h"
#include "temporary_folder.h"

// Folders written as GGUF files: the same results from the folder and from the file, and the file that the field's own
// converter makes of it.

namespace {

using llm::formats::Metadata;
using llm::formats::TensorView;
using llm::formats::WeightsFile;
using llm::model::ExecutorOptions;
using llm::model::Family;
using llm::model::Model;
using llm::model::ModelKind;

const Family* family_of(const GoldenEntry& entry) {
  for (const Family* family : llm::model::families()) {
    const auto& names = family->hugging_face;
    if (std::find(names.begin(), names.end(), entry.family) != names.end()) return family;
  }
  return nullptr;
}

bool has_architecture(const GoldenEntry& entry) {
  const Family* family = family_of(entry);
  return family != nullptr && (!family->gguf.empty() || !family->writing.architecture.empty());
}

// Options of these folders that files of their architecture cannot say, and what the refusal names.
const std::map<std::string, std::string> refused = {};

std::vector<GoldenEntry> entries() {
  std::vector<GoldenEntry> all;
  for (const GoldenEntry& entry : golden_entries()) {
    if (has_architecture(entry)) all.push_back(entry);
  }
  return all;
}

class Converted : public testing::TestWithParam<GoldenEntry> {
 protected:
  std::string written() const { return folder_.file(GetParam().name + ".gguf"); }
  llm::test::TemporaryFolder folder_;
};

std::vector<float> results(const Model& model, const std::string& folder) {
  std::map<std::string, Array> expected = read_arrays(folder + "/expected.safetensors");
  ExecutorOptions options;
  options.n_threads = 2;
  options.max_rows = 64;
  options.max_context = 256;
  options.exact = true;
  options.kv_type = llm::TensorType::F32;
  options.block_tokens = 32;
  ModelRunner runner(model, options);
  const auto& ids = expected.at("input_ids").ints;
  if (model.spec().kind == ModelKind::encoder_decoder) {
    runner.encode(ids);
    return runner.run(expected.at("decoder_input_ids").ints).logits;
  }
  const ModelRunner::Result result = runner.run(ids, 0, 0, static_cast<std::int64_t>(ids.size()));
  return model.spec().kind == ModelKind::encoder ? result.last_hidden : result.logits;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += static_cast<double>(a[i]) * a[i];
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - b[i]));
  }
  return largest / std::sqrt(squares / static_cast<double>(a.size()));
}

TEST_P(Converted, GivesTheFoldersResults) {
  const GoldenEntry& entry = GetParam();
  const auto why = refused.find(entry.name);
  if (why != refused.end()) {
    try {
      llm::convert(entry.folder(), written());
      FAIL() << "was written";
    } catch (const llm::Error& error) {
      EXPECT_NE(std::string(error.what()).find(why->second), std::string::npos) << error.what();
    }
    return;
  }
  llm::convert(entry.folder(), written());
  const auto folder = Model::load(WeightsFile::open(entry.folder()));
  const auto file = Model::load(WeightsFile::open(written()));
  EXPECT_EQ(file->unused_keys(), std::vector<std::string>{});
  EXPECT_EQ(file->unused_tensors(), std::vector<std::string>{});
  const std::vector<float> a = results(*folder, entry.folder()), b = results(*file, entry.folder());
  ASSERT_EQ(a.size(), b.size());
  EXPECT_LE(largest_difference(a, b), 0) << entry.name;
}

std::vector<float> values_of(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  llm::kernels::decode_row(tensor.type, tensor.data, values.data(), tensor.n_elements());
  return values;
}

// Keys that readers do without: said otherwise, or of no effect for the architecture.
bool may_be_absent(const std::string& key) {
  static const std::set<std::string> names = {};
  return names.contains(key.substr(key.find('.') + 1));
}

TEST_P(Converted, AgreesWithTheFieldsConverter) {
  const GoldenEntry& entry = GetParam();
  if (!entry.has_gguf) return;
  llm::convert(entry.folder(), written());
  const auto expected = WeightsFile::open(entry.folder() + "/model.gguf"), found = WeightsFile::open(written());
  for (const TensorView& tensor : expected->tensors()) {
    const TensorView* mine = found->find_tensor(tensor.name);
    ASSERT_NE(mine, nullptr) << tensor.name;
    EXPECT_EQ(mine->extent, tensor.extent) << tensor.name;
    EXPECT_EQ(mine->type, tensor.type) << tensor.name;
    const std::vector<float> a = values_of(tensor), b = values_of(*mine);
    EXPECT_LE(largest_difference(a, b), 1e-6) << tensor.name;
  }
  EXPECT_EQ(found->tensors().size(), expected->tensors().size());
  const std::string prefix = std::string(expected->metadata().require_string("general.architecture")) + ".";
  for (const auto& [key, value] : expected->metadata().entries()) {
    if (!key.starts_with(prefix)) continue;
    const auto& mine = found->metadata().entries();
    const auto at = mine.find(key);
    if (at == mine.end()) {
      EXPECT_TRUE(may_be_absent(key)) << key << " is missing";
      continue;
    }
    if (const auto* array = std::get_if<llm::formats::ArrayView>(&value.value)) {
      const auto* other = std::get_if<llm::formats::ArrayView>(&at->second.value);
      ASSERT_NE(other, nullptr) << key;
      EXPECT_EQ(array->item_type, other->item_type) << key;
      EXPECT_TRUE(std::ranges::equal(array->bytes, other->bytes)) << key;
    } else {
      EXPECT_EQ(value.type, at->second.type) << key;
      if (const auto* number = std::get_if<double>(&value.value)) {
        EXPECT_NEAR(*number, std::get<double>(at->second.value), 1e-6 * std::fabs(*number)) << key;
      } else {
        EXPECT_TRUE(value.value == at->second.value) << key;
      }
    }
  }
}

std::string name_of(const testing::TestParamInfo<GoldenEntry>& test) {
  std::string name = test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Converted, testing::ValuesIn(entries()), name_of);

}  // namespace
