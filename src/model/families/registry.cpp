#include "model/families/families.h"

namespace llm::model {
namespace {

const Family* const all[] = {
    &llama_family,
    &mixtral_family,
    &mamba_family,
    &mamba2_family,
    &qwen2_family,
    &qwen3_family,
    &qwen2_moe_family,
    &qwen3_moe_family,
    &gemma_family,
    &gemma2_family,
    &gemma3_family,
    &phi3_family,
    &gpt2_family,
    &gpt_bigcode_family,
    &gptj_family,
    &gpt_neo_family,
    &openai_gpt_family,
    &opt_family,
    &bloom_family,
    &mpt_family,
    &falcon_family,
    &gpt_neox_family,
    &starcoder2_family,
    &phi_family,
    &stablelm_family,
    &olmo_family,
    &olmo2_family,
    &olmoe_family,
    &cohere_family,
    &cohere2_family,
    &granite_family,
    &granitemoe_family,
    &glm_family,
    &glm4_family,
    &glm4_moe_family,
    &exaone4_family,
    &smollm3_family,
    &nemotron_family,
    &ernie4_5_family,
    &ernie4_5_moe_family,
    &hunyuan_v1_dense_family,
    &hunyuan_v1_moe_family,
    &seed_oss_family,
    &arcee_family,
    &dots1_family,
    &gpt_oss_family,
    &deepseek_v2_family,
    &deepseek_v3_family,
    &deepseek2_family,
    &lfm2_family,
    &granitemoehybrid_family,
    &falcon_h1_family,
    &jamba_family,
    &qwen3_next_family,
    &recurrent_gemma_family,
    &rwkv_family,
    &bert_family,
    &roberta_family,
    &distilbert_family,
    &electra_family,
    &albert_family,
    &nomic_bert_family,
    &modernbert_family,
};

}  // namespace

std::span<const Family* const> families() {
  return all;
}

}  // namespace llm::model
