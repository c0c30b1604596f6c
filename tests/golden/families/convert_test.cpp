#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <llm/files.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "changed_entry.h"
#include "golden_entry.h"
#include "kernels/decode.h"
#include "model/family.h"
#include "model/model.h"
#include "model_runner.h"
#include "temporary_folder.h"

// Folders written as GGUF files: the same results from the folder and from the file, and the file that the field's own
// converter makes of it.

void PrintTo(const GoldenEntry& entry, std::ostream* out) {
  *out << entry.name;
}

namespace {

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

bool is_written(const GoldenEntry& entry) {
  const Family* family = family_of(entry);
  return family != nullptr && (!family->gguf.empty() || !family->writing.architecture.empty());
}

// Options of these folders that files of their architecture cannot say, and what the refusal names.
const std::map<std::string, std::string> refused = {{"bloom-6heads-postln", "residual_is_normed"},
                                                    {"deepseek_v2-group", "norm_eps"},
                                                    {"deepseek_v2-lite", "norm_eps"},
                                                    {"deepseek_v3-yarn", "norm_eps"},
                                                    {"falcon-rw-alibi", "alibi_slopes"},
                                                    {"gemma2-scalar", "scale"},
                                                    {"gemma3-scalar-softcap", "scale"},
                                                    {"gpt2-inner-scale", "scale"},
                                                    {"gpt2-noscale", "scale"},
                                                    {"gpt_oss", "ffn.limit"},
                                                    {"llama-rope-dynamic", "rope.scaling: \"dynamic\""},
                                                    {"gemma3-local-scaling", "rope.scaling"},
                                                    {"gpt_neox-odd-rotation", "rope.period"},
                                                    {"modernbert-biases", "rope.scaling"},
                                                    {"deepseek_v2-biases", "norm_eps"},
                                                    {"ernie4_5_moe-bias-interval", "ffn.bias"},
                                                    {"gpt_oss-no-scaling-named", "ffn.limit"},
                                                    {"mamba2-time-limit", "dt_max"},
                                                    {"qwen2_moe-window", "window"},
                                                    {"smollm3-window", "rope"},
                                                    {"phi-qknorm", "clamp_after_norm"},
                                                    {"phi3-swa", "window"},
                                                    {"qwen2-swa", "window"},
                                                    {"t5-uneven", "ffn.activation"},
                                                    {"t5_encoder", "relative.max_distance"},
                                                    {"umt5_encoder", "relative.max_distance"},
                                                    {"gemma_embedding", "scale"},
                                                    {"qwen2_moe-dense-layer", "ffn"}};

std::vector<GoldenEntry> entries(bool with_gguf) {
  std::vector<GoldenEntry> all;
  for (const GoldenEntry& entry : golden_entries()) {
    if (is_written(entry) && (entry.has_gguf || !with_gguf)) all.push_back(entry);
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

// Whether every number is the sum of the same terms in the same order: not where pairs of q and k stand otherwise,
// where factors went into the weights, where angles come from numbers rounded to float32, and where a file cannot say
// what is added to a sum of weights before dividing by it.
bool same_sums(const llm::model::ModelSpec& folder, const llm::model::ModelSpec& file) {
  for (std::size_t i = 0; i < folder.decoder.layers.size(); ++i) {
    for (const auto& mixer : folder.decoder.layers[i].mixers) {
      const auto* a = std::get_if<llm::model::Attention>(&mixer);
      if (a == nullptr) continue;
      const auto* b = std::get_if<llm::model::Attention>(&file.decoder.layers[i].mixers.back());
      if (a->rope.pairing != b->rope.pairing || a->rope.scaling.kind != llm::model::RopeScaling::Kind::none)
        return false;
    }
    const auto* a = std::get_if<llm::model::Experts>(&folder.decoder.layers[i].ffn);
    const auto* b = std::get_if<llm::model::Experts>(&file.decoder.layers[i].ffn);
    if (a != nullptr && a->router.sum_offset != b->router.sum_offset) return false;
  }
  return folder.family != "falcon_h1" && folder.head.scale == file.head.scale;
}

using Patched = llm::test::ChangedEntry;

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
  EXPECT_LE(largest_difference(a, b), same_sums(folder->spec(), file->spec()) ? 0 : 1e-5);
}

// Options that only real models have together, so that no entry is written as it stands.
TEST_F(Patched, LatentAttentionWithYarnIsWritten) {
  for (const char* entry : {"deepseek_v3-yarn", "deepseek_v2-lite"}) {
    SCOPED_TRACE(entry);
    const std::string folder = with(entry, {{"rms_norm_eps", 1e-6}});
    llm::convert(folder, folder_.file("m.gguf"));
    const std::string expected = LLM_TEST_DATA "/golden/" + std::string(entry);
    const std::vector<float> a = results(*Model::load(WeightsFile::open(folder)), expected),
                             b = results(*Model::load(WeightsFile::open(folder_.file("m.gguf"))), expected);
    EXPECT_LE(largest_difference(a, b), 1e-5);
  }
}

TEST_F(Patched, TypesOfWeightsAreTheOnesAskedFor) {
  const std::string entry = LLM_TEST_DATA "/golden/llama-gqa";
  const std::vector<float> exact = results(*Model::load(WeightsFile::open(entry)), entry);
  const std::tuple<const char*, llm::TensorType, double> types[] = {{"f32", llm::TensorType::F32, 1e-5},
                                                                    {"f16", llm::TensorType::F16, 1e-5},
                                                                    {"bf16", llm::TensorType::BF16, 0.05},
                                                                    {"q8_0", llm::TensorType::Q8_0, 0.2}};
  for (const auto& [name, type, bound] : types) {
    SCOPED_TRACE(name);
    llm::convert(entry, folder_.file("m.gguf"), {.type = name, .pretokenizer = ""});
    const auto file = WeightsFile::open(folder_.file("m.gguf"));
    EXPECT_EQ(file->find_tensor("blk.0.ffn_up.weight")->type, type);
    EXPECT_EQ(file->find_tensor("blk.0.attn_norm.weight")->type, llm::TensorType::F32);
    EXPECT_LE(largest_difference(exact, results(*Model::load(WeightsFile::open(folder_.file("m.gguf"))), entry)),
              bound);
  }
}

using ConvertedBeside = Converted;

std::vector<float> values_of(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  llm::kernels::decode_row(tensor.type, tensor.data, values.data(), tensor.n_elements());
  return values;
}

// Keys that readers do without: said otherwise, or of no effect for the architecture.
bool may_be_absent(const std::string& key) {
  static const std::set<std::string> names = {
      "rope.scaling.type",                     // none
      "rope.dimension_count",                  // no rotation
      "rope.freq_base",                        // no rotation
      "rope.scaling.original_context_length",  // the context
      "rope.freq_base_swa",                    // the base
      "attention.sliding_window",              // none
      "attention.sliding_window_pattern",      // the architecture's
      "attention.layer_norm_rms_epsilon",      // of models with layer norms
      "hidden_activation",                     // the architecture's
      "classifier.pooling_type",               // of classifiers
      "tensor_data_layout",
  };
  return names.contains(key.substr(key.find('.') + 1));
}

TEST_P(ConvertedBeside, AgreesWithTheFieldsConverter) {
  const GoldenEntry& entry = GetParam();
  llm::convert(entry.folder(), written());
  const auto expected = WeightsFile::open(entry.folder() + "/model.gguf"), found = WeightsFile::open(written());
  for (const TensorView& tensor : expected->tensors()) {
    const TensorView* mine = found->find_tensor(tensor.name);
    ASSERT_NE(mine, nullptr) << tensor.name;
    EXPECT_EQ(mine->extent, tensor.extent) << tensor.name;
    // The field's file of falcon_h1 is float32 throughout.
    EXPECT_TRUE(mine->type == tensor.type || entry.family == "falcon_h1") << tensor.name;
    const std::vector<float> a = values_of(tensor), b = values_of(*mine);
    EXPECT_LE(largest_difference(a, b), 1e-6) << tensor.name;
  }
  EXPECT_EQ(found->tensors().size(), expected->tensors().size());
  const std::string prefix = std::string(expected->metadata().require_string("general.architecture")) + ".";
  for (const auto& [key, value] : expected->metadata().entries()) {
    // Where config.json names no context, each has a number of its own.
    if (!key.starts_with(prefix) || key == prefix + "context_length") continue;
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
        const auto text = [](const auto& v) {
          return std::visit(
              [](const auto& x) -> std::string {
                if constexpr (std::is_arithmetic_v<std::decay_t<decltype(x)>>)
                  return std::to_string(x);
                else if constexpr (std::is_same_v<std::decay_t<decltype(x)>, std::string_view>)
                  return std::string(x);
                else
                  return "";
              },
              v);
        };
        EXPECT_EQ(text(value.value), text(at->second.value)) << key;
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

INSTANTIATE_TEST_SUITE_P(All, Converted, testing::ValuesIn(entries(false)), name_of);
INSTANTIATE_TEST_SUITE_P(All, ConvertedBeside, testing::ValuesIn(entries(true)), name_of);

}  // namespace
