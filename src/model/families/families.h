#ifndef MODEL_FAMILIES_FAMILIES_H
#define MODEL_FAMILIES_FAMILIES_H

#include "model/family.h"
#include "model/parts.h"

// The one list of families: a new one is a file in this folder, a declaration here, and a place in registry.cpp.

namespace llm::model {

extern const Family llama_family;
extern const Family mixtral_family;
extern const Family mamba_family;
extern const Family mamba2_family;
extern const Family qwen2_family;
extern const Family qwen3_family;
extern const Family qwen2_moe_family;
extern const Family qwen3_moe_family;
extern const Family gemma_family;
extern const Family gemma2_family;
extern const Family gemma3_family;
extern const Family phi3_family;
extern const Family gpt2_family;
extern const Family gpt_bigcode_family;
extern const Family gptj_family;
extern const Family gpt_neo_family;
extern const Family openai_gpt_family;
extern const Family opt_family;
extern const Family bloom_family;
extern const Family mpt_family;
extern const Family falcon_family;
extern const Family gpt_neox_family;
extern const Family starcoder2_family;
extern const Family phi_family;
extern const Family stablelm_family;
extern const Family olmo_family;
extern const Family olmo2_family;
extern const Family olmoe_family;
extern const Family cohere_family;
extern const Family cohere2_family;
extern const Family granite_family;
extern const Family granitemoe_family;
extern const Family glm_family;
extern const Family glm4_family;
extern const Family glm4_moe_family;
extern const Family exaone4_family;
extern const Family smollm3_family;
extern const Family nemotron_family;
extern const Family ernie4_5_family;
extern const Family ernie4_5_moe_family;
extern const Family hunyuan_v1_dense_family;
extern const Family hunyuan_v1_moe_family;
extern const Family seed_oss_family;
extern const Family arcee_family;
extern const Family dots1_family;
extern const Family gpt_oss_family;
extern const Family deepseek_v2_family;
extern const Family deepseek_v3_family;
extern const Family deepseek2_family;
extern const Family lfm2_family;
extern const Family dream_family;
extern const Family llada_family;
extern const Family llada_moe_family;
extern const Family rnd1_family;
extern const Family jina_bert_v3_family;
extern const Family lfm2_moe_family;
extern const Family minimax_m2_family;
extern const Family eurobert_family;
extern const Family granitemoehybrid_family;
extern const Family falcon_h1_family;
extern const Family jamba_family;
extern const Family qwen3_next_family;
extern const Family recurrent_gemma_family;
extern const Family rwkv_family;

// Known from GGUF files alone.
extern const Family llama_embed_family;
extern const Family deci_family;
extern const Family qwen_family;
extern const Family plamo_family;
extern const Family baichuan_family;
extern const Family refact_family;
extern const Family jais_family;
extern const Family dbrx_family;
extern const Family deepseek_family;
extern const Family bailingmoe_family;
extern const Family minicpm_family;
extern const Family maincoder_family;
extern const Family gemma_embedding_family;
extern const Family mellum_family;

extern const Family bert_family;
extern const Family roberta_family;
extern const Family distilbert_family;
extern const Family electra_family;
extern const Family albert_family;
extern const Family nomic_bert_family;
extern const Family modernbert_family;

extern const Family marian_family;
extern const Family bart_family;
extern const Family mbart_family;
extern const Family pegasus_family;
extern const Family m2m_100_family;
extern const Family t5_encoder_family;
extern const Family t5_family;

}  // namespace llm::model

#endif
