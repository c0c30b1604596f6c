#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <llm/error.hpp>
#include <nlohmann/json.hpp>

#include "changed_entry.h"
#include "model/model.h"
#include "temporary_folder.h"

// Files that are no models, or models with options that are not there: one line that names the culprit, no weights
// touched.

namespace {

using llm::Error;
using llm::ErrorCode;
using llm::formats::WeightsFile;
using llm::model::Model;
using testing::HasSubstr;

std::string error_of(const std::string& path) {
  try {
    Model::load(WeightsFile::open(path));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model) << e.message();
    EXPECT_EQ(e.message().find('\n'), std::string::npos) << e.message();
    return e.message();
  }
  return "";
}

std::string damaged(const std::string& name) {
  return LLM_TEST_DATA "/gguf/" + name;
}

TEST(GgufModel, NamesTheKeyOrTensorThatIsWrong) {
  EXPECT_THAT(error_of(damaged("head-count-0.gguf")), HasSubstr("llama.attention.head_count"));
  EXPECT_THAT(error_of(damaged("eps-nan.gguf")), HasSubstr("llama.attention.layer_norm_rms_epsilon"));
  EXPECT_THAT(error_of(damaged("layers-2e31.gguf")), HasSubstr("llama.block_count"));
  EXPECT_THAT(error_of(damaged("block-count-string.gguf")), HasSubstr("llama.block_count"));
  EXPECT_THAT(error_of(damaged("missing-tensor.gguf")), HasSubstr("missing"));
  EXPECT_THAT(error_of(damaged("wrong-shape.gguf")), HasSubstr("shape ["));
  EXPECT_THAT(error_of(damaged("vocab-mismatch.gguf")), HasSubstr("token_embd.weight"));
  EXPECT_THAT(error_of(damaged("no-architecture.gguf")), HasSubstr("general.architecture"));
}

TEST(GgufModel, LoadsWhatIsRight) {
  for (const char* name : {"valid.gguf", "version-2.gguf", "alignment-64.gguf", "split-ok-00001-of-00002.gguf"}) {
    EXPECT_EQ(error_of(damaged(name)), "") << name;
  }
}

using FolderModel = llm::test::ChangedEntry;

TEST_F(FolderModel, RefusesUnknownOptionsByName) {
  EXPECT_THAT(error_of(with("llama-gqa", {{"model_type", "llama9"}})), HasSubstr("'llama9'"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"hidden_act", "mish"}})), HasSubstr("'mish'"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"rope_scaling", {{"rope_type", "spiral"}, {"factor", 2.0}}}})),
              HasSubstr("'spiral'"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"quantization_config", {{"quant_method", "gptq"}}}})), HasSubstr("'gptq'"));
  EXPECT_THAT(error_of(with("deepseek_v3", {{"scoring_func", "cosine"}})), HasSubstr("'cosine'"));
  EXPECT_THAT(error_of(with("gemma3", {{"layer_types", nlohmann::json::array({"linear"})}})), HasSubstr("layer_types"));
  EXPECT_THAT(error_of(with("lfm2", {{"layer_types", {"conv", "mamba", "conv"}}})), HasSubstr("'mamba'"));
  EXPECT_THAT(error_of(with("granitemoehybrid", {{"layer_types", {"mamba", "conv", "mamba"}}})), HasSubstr("'conv'"));
  EXPECT_THAT(error_of(with("granitemoehybrid", {{"position_embedding_type", "alibi"}})), HasSubstr("'alibi'"));
  EXPECT_THAT(error_of(with("granitemoehybrid", {{"normalization_function", "layer"}})), HasSubstr("'layer'"));
  EXPECT_THAT(error_of(with("falcon_h1", {{"attn_layer_indices", {0}}})), HasSubstr("attn_layer_indices"));
  EXPECT_THAT(error_of(with("jamba", {{"sliding_window", 8}})), HasSubstr("sliding_window"));
  EXPECT_THAT(error_of(with("qwen3_next", {{"use_sliding_window", true}})), HasSubstr("use_sliding_window"));
  EXPECT_THAT(error_of(with("recurrent_gemma", {{"block_types", {"recurrent", "mlp"}}})), HasSubstr("'mlp'"));
}

TEST_F(FolderModel, RefusesAbsurdNumbersByName) {
  EXPECT_THAT(error_of(with("llama-gqa", {{"num_attention_heads", 0}})), HasSubstr("num_attention_heads"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"num_hidden_layers", 1'000'000'000}})), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"num_key_value_heads", 3}})), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"intermediate_size", 41}})), HasSubstr("mlp."));
  EXPECT_THAT(error_of(with("llama-gqa", {{"rms_norm_eps", -1}})), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"rope_theta", 0}})), HasSubstr("rope_theta"));
  EXPECT_THAT(error_of(with("llama-gqa", {{"vocab_size", 81}})), HasSubstr("model.embed_tokens.weight"));
  EXPECT_THAT(error_of(with("mixtral", {{"num_experts_per_tok", 9}})), HasSubstr("num_experts_per_tok"));
  EXPECT_THAT(error_of(with("mamba", {{"conv_kernel", 17}})), HasSubstr("conv_kernel"));
  EXPECT_THAT(error_of(with("lfm2", {{"conv_L_cache", 17}})), HasSubstr("conv_L_cache"));
  EXPECT_THAT(error_of(with("lfm2", {{"block_auto_adjust_ff_dim", true}, {"block_ffn_dim_multiplier", 1e30}})),
              HasSubstr("block_ffn_dim_multiplier"));
  EXPECT_THAT(error_of(with("falcon_h1", {{"ssm_in_multiplier", 0}})), HasSubstr("ssm_in_multiplier"));
  EXPECT_THAT(error_of(with("falcon_h1", {{"ssm_multipliers", {1, 2}}})), HasSubstr("ssm_multipliers"));
  EXPECT_THAT(error_of(with("falcon_h1", {{"mamba_d_head", 7}})), HasSubstr("mamba_d_head"));
  EXPECT_THAT(error_of(with("granitemoehybrid", {{"mamba_d_head", 7}})), HasSubstr("mamba_d_head"));
  EXPECT_THAT(error_of(with("jamba", {{"attn_layer_period", 0}})), HasSubstr("attn_layer_period"));
  EXPECT_THAT(error_of(with("qwen3_next", {{"linear_num_value_heads", 3}})), HasSubstr("linear_num_value_heads"));
  EXPECT_THAT(error_of(with("recurrent_gemma", {{"lru_width", 46}})), HasSubstr("lru_width"));
  EXPECT_THAT(error_of(with("rwkv", {{"attention_hidden_size", 40}})), HasSubstr("attention.key"));
}

TEST_F(FolderModel, NamesKeysThatNobodyReads) {
  const auto file = WeightsFile::open(with("llama-gqa", {{"brand_new_option", 3}}));
  EXPECT_EQ(Model::describe(*file)->unused_keys(), std::vector<std::string>{"brand_new_option"});
}

TEST(DescribedModel, SaysWhatTheLoadedOneDoes) {
  for (const char* name :
       {"llama-gqa", "gpt2", "deepseek_v3", "gpt_oss-mxfp4", "bert", "mixtral", "falcon-new", "mamba", "mamba2", "lfm2",
        "granitemoehybrid", "falcon_h1-norm", "jamba", "qwen3_next", "recurrent_gemma", "rwkv"}) {
    const std::string folder = std::string(LLM_TEST_DATA "/golden/") + name;
    const auto file = WeightsFile::open(folder);
    const auto described = Model::describe(*file);
    const auto loaded = Model::load(WeightsFile::open(folder));
    EXPECT_EQ(described->n_parameters(), loaded->n_parameters()) << name;
    llm::model::ExecutorOptions options;
    EXPECT_EQ(llm::model::Executor::arena_bytes(*described, options),
              llm::model::Executor(*loaded, options).arena_bytes())
        << name;
    const auto a = described->state_groups(llm::TensorType::F16), b = loaded->state_groups(llm::TensorType::F16);
    ASSERT_EQ(a.size(), b.size()) << name;
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].unit_bytes, b[i].unit_bytes) << name;
  }
}

}  // namespace
