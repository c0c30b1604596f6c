#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>

#include "golden_entry.inc"
#include "model/family.h"
#include "model/inert_keys.h"
#include "model_runner.inc"
#include "temporary_folder.h"

// No key of config.json is silently ignored: each one of every golden folder is given other values that it could have,
// and the results change, or the model is refused. Keys that are not known are reported.

namespace {

using llm::Error;
using llm::formats::WeightsFile;
using llm::model::Model;
using llm::model::ModelKind;
using nlohmann::json;

// Keys that by their meaning do nothing in the models that carry them: lengths that are never reached, sizes that
// another key decides, options of parts that are not there, ranges of training.
struct Silent {
  std::string_view family;  // "": all
  std::string_view key;
  std::string_view entry = "";  // one entry only
};
constexpr Silent silent_keys[] = {
    {"", "max_position_embeddings"},
    {"", "n_positions", "gptj"},
    {"phi3", "original_max_position_embeddings"},
    {"llama", "original_max_position_embeddings", "llama-rope-yarn-null-factor"},
    {"", "max_seq_len"},
    {"", "context_length", "rwkv"},
    {"deepseek_v2", "head_dim"},
    {"deepseek_v2", "norm_topk_prob"},
    {"deepseek_v2", "num_key_value_heads"},
    {"deepseek_v2", "n_group", "deepseek_v2-lite"},
    {"deepseek_v3", "head_dim"},
    {"deepseek_v3", "num_key_value_heads"},
    {"deepseek_v3", "num_nextn_predict_layers"},
    {"glm4_moe", "num_nextn_predict_layers"},
    {"ernie4_5_moe", "moe_norm_min"},
    {"ernie4_5_moe", "moe_layer_end_index", "ernie4_5_moe"},
    {"falcon", "multi_query", "falcon-new"},
    {"falcon", "rope_theta", "falcon-rw-alibi"},
    {"falcon_h1", "mamba_expand"},
    {"falcon_h1", "mamba_norm_before_gate", "falcon_h1"},
    {"falcon_mamba", "intermediate_size"},
    {"mamba", "intermediate_size"},
    {"", "time_step_min"},
    {"", "time_step_max"},
    {"mamba2", "time_step_rank"},
    {"gpt_bigcode", "num_key_value_heads"},
    {"gpt_neo", "attention_types"},
    {"gpt_oss", "modules_to_not_convert"},
    {"granitemoehybrid", "rope_theta"},
    {"granitemoehybrid", "intermediate_size", "granitemoehybrid-rope-dense"},
    {"granitemoehybrid", "num_experts_per_tok", "granitemoehybrid-rope-dense"},
    {"hunyuan_v1_dense", "beta_fast"},
    {"hunyuan_v1_dense", "beta_slow"},
    {"hunyuan_v1_dense", "factor"},
    {"hunyuan_v1_dense", "mscale"},
    {"hunyuan_v1_dense", "mscale_all_dim"},
    {"jamba", "attn_layer_period"},
    {"lfm2", "block_ffn_dim_multiplier"},
    {"lfm2", "block_multiple_of"},
    {"opt", "_remove_final_layer_norm", "opt-postnorm-proj"},
    {"", "sliding_window_pattern"},
    {"", "_sliding_window_pattern"},
    {"", "max_window_layers"},
    {"qwen2", "use_sliding_window", "qwen2"},
    {"qwen2", "use_sliding_window", "qwen2-tied-yarn"},
    {"qwen3", "use_sliding_window", "qwen3"},
    {"qwen3", "use_sliding_window", "qwen3-tied-v5"},
    {"qwen2_moe", "use_sliding_window", "qwen2_moe"},
    {"qwen2_moe", "use_sliding_window", "qwen2_moe-dense-layer"},
    {"qwen3_moe", "use_sliding_window", "qwen3_moe"},
    {"smollm3", "use_sliding_window", "smollm3"},
    {"qwen2_moe", "sliding_window"},
    {"qwen2_moe", "intermediate_size"},
    {"qwen3_moe", "intermediate_size"},
    {"qwen3_next", "intermediate_size"},
    {"smollm3", "no_rope_layer_interval"},
    {"albert", "tie_word_embeddings"},
    {"bert", "tie_word_embeddings"},
    {"distilbert", "tie_word_embeddings"},
    {"electra", "tie_word_embeddings"},
    {"modernbert", "tie_word_embeddings"},
    {"roberta", "tie_word_embeddings"},
    {"xlm-roberta", "tie_word_embeddings"},
    {"distilbert", "sinusoidal_pos_embds"},
    {"modernbert", "layer_norm_eps"},
    // Where generation begins, not what a given beginning leads to.
    {"", "decoder_start_token_id"},
    {"marian", "decoder_vocab_size", "marian"},
    {"marian", "share_encoder_decoder_embeddings", "marian"},
    {"t5", "num_decoder_layers", "t5_encoder"},
    {"umt5", "num_decoder_layers", "umt5_encoder"},
    {"t5", "scale_decoder_outputs", "t5_encoder"},
    {"", "tie_word_embeddings", "t5_encoder"},
    {"", "tie_word_embeddings", "umt5_encoder"},
    {"", "tie_word_embeddings", "eurobert"},
    {"", "tie_word_embeddings", "gemma_embedding"},
    {"", "tie_word_embeddings", "gemma_embedding-odd"},
};

bool may_be_silent(const GoldenEntry& entry, const std::string& key) {
  return std::any_of(std::begin(silent_keys), std::end(silent_keys), [&](const Silent& silent) {
    return key == silent.key && (silent.family.empty() || silent.family == entry.family) &&
           (silent.entry.empty() || silent.entry == entry.name);
  });
}

bool is_known(const std::string& model_type) {
  for (const llm::model::Family* family : llm::model::families()) {
    const auto& names = family->hugging_face;
    if (std::find(names.begin(), names.end(), model_type) != names.end()) return true;
  }
  return false;
}

std::vector<GoldenEntry> entries() {
  std::vector<GoldenEntry> known;
  for (const GoldenEntry& entry : golden_entries()) {
    if (is_known(entry.family)) known.push_back(entry);
  }
  return known;
}

// Paths of all values that are no objects.
void collect(const json& value, const json::json_pointer& path, std::vector<json::json_pointer>& paths) {
  for (const auto& [key, inner] : value.items()) {
    if (llm::model::is_inert_config_key(key) || inner.is_null()) continue;
    if (inner.is_object()) {
      collect(inner, path / key, paths);
    } else {
      paths.push_back(path / key);
    }
  }
}

// A key that no model has, in every object; returns their number.
std::size_t add_to_objects(json& object) {
  std::size_t n = 1;
  for (auto& [key, inner] : object.items()) {
    if (inner.is_object() && !llm::model::is_inert_config_key(key)) n += add_to_objects(inner);
  }
  object["unheard_of"] = 3;
  return n;
}

// Other values of the same kind that a file could hold.
std::vector<json> others(const json& value) {
  if (value.is_boolean()) return {!value.get<bool>()};
  if (value.is_number_integer()) {
    const std::int64_t n = value.get<std::int64_t>();
    std::vector<json> result = {n + 1, 2 * n + 2};
    if (n > 1) result.insert(result.begin(), n - 1);
    return result;
  }
  if (value.is_number()) return {value.get<double>() * 1.5 + 0.01, value.get<double>() * 0.5};
  if (value.is_string()) return {"unheard-of"};
  std::vector<json> result;
  for (std::size_t i = 0; i < value.size(); ++i) {
    json changed = value;
    for (const json& other : others(value[i])) {
      changed[i] = other;
      result.push_back(changed);
    }
  }
  json shorter = value;
  if (!shorter.empty()) shorter.erase(shorter.size() - 1);
  json longer = value;
  longer.push_back(value.empty() ? json(0) : value[0]);
  result.push_back(shorter);
  result.push_back(longer);
  return result;
}

class ConfigSensitivity : public testing::TestWithParam<GoldenEntry> {
 protected:
  void SetUp() override {
    const std::string from = GetParam().folder();
    std::ifstream in(from + "/config.json");
    config_ = json::parse(in);
    arrays_ = read_arrays(from + "/expected.safetensors");
    std::filesystem::create_symlink(from + "/model.safetensors", folder_.file("model.safetensors"));
  }

  std::unique_ptr<Model> load(const json& config) const {
    folder_.write("config.json", config.dump());
    return Model::load(WeightsFile::open(folder_.path()));
  }

  std::vector<float> results(const json& config) const {
    const std::unique_ptr<Model> model = load(config);
    llm::model::ExecutorOptions options;
    options.n_threads = 1;
    options.max_rows = 64;
    options.max_context = 256;
    options.exact = true;
    options.kv_type = llm::TensorType::F32;
    ModelRunner runner(*model, options);
    const std::vector<std::int32_t>& ids = arrays_.at("input_ids").ints;
    const std::int64_t length = static_cast<std::int64_t>(ids.size());
    switch (model->spec().kind) {
      case ModelKind::decoder:
        return runner.run(ids, 0, 0, length).logits;
      case ModelKind::encoder:
        return runner.run(ids).last_hidden;
      case ModelKind::encoder_decoder:
        runner.encode(ids);
        return runner.run(arrays_.at("decoder_input_ids").ints).logits;
    }
    return {};
  }

  bool has_effect(const json& config, const std::vector<float>& reference) const {
    try {
      return results(config) != reference;
    } catch (const Error&) {
      return true;
    }
  }

  json config_;
  std::map<std::string, Array> arrays_;
  llm::test::TemporaryFolder folder_;
};

TEST_P(ConfigSensitivity, EveryKeyActsOrIsRefused) {
  const std::vector<float> reference = results(config_);
  std::vector<json::json_pointer> paths;
  collect(config_, json::json_pointer(), paths);
  EXPECT_FALSE(paths.empty());
  for (const json::json_pointer& path : paths) {
    const std::vector<json> values = others(config_[path]);
    const bool acts = std::any_of(values.begin(), values.end(), [&](const json& value) {
      json config = config_;
      config[path] = value;
      return has_effect(config, reference);
    });
    EXPECT_TRUE(acts || may_be_silent(GetParam(), path.back())) << path << ": " << config_[path];
  }
}

TEST_P(ConfigSensitivity, ReportsUnknownKeys) {
  json config = config_;
  const std::size_t n_objects = add_to_objects(config);
  EXPECT_EQ(load(config)->unused_keys().size(), n_objects);
}

INSTANTIATE_TEST_SUITE_P(Golden, ConfigSensitivity, testing::ValuesIn(entries()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
});

}  // namespace
