#include "gguf_metadata.h"

// What GGUF files of any architecture may leave out. Sources: the values that the
// field's engines assume (docs/models.md).

namespace llm::test {
namespace {

TEST(GgufDefaults, HeadsAndWidths) {
  const Attention a = attention(File("llama").spec());
  EXPECT_EQ(a.n_head_kv, 4);
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_EQ(a.values(), 16);
  EXPECT_EQ(a.rope.dims, 16);
  EXPECT_EQ(a.rope.base, 10'000);
  EXPECT_EQ(a.rope.scaling.kind, RopeScaling::Kind::none);
  EXPECT_EQ(a.scale, 0);  // 1 / sqrt(head_dim)
  EXPECT_TRUE(a.causal);
  EXPECT_EQ(attention(File("llama").u32("attention.key_length", 24).spec()).rope.dims, 24);
}

TEST(GgufDefaults, NumbersForEachLayer) {
  const ModelSpec spec = File("llama")
                             .u32s("attention.head_count_kv", {4, 2, 1, 4, 2, 1, 4, 2})
                             .u32s("feed_forward_length", {8, 16, 24, 32, 40, 48, 56, 64})
                             .spec();
  EXPECT_EQ(attention(spec, 1).n_head_kv, 2);
  EXPECT_EQ(attention(spec, 2).n_head_kv, 1);
  EXPECT_EQ(mlp(spec, 7).width, 64);
  EXPECT_NE(refusal(File("llama").u32s("feed_forward_length", {8, 16})).find("llama.feed_forward_length"),
            std::string::npos);
}

TEST(GgufDefaults, RopeScaling) {
  const auto scaling = [](const File& file) { return attention(file.spec()).rope.scaling; };
  EXPECT_EQ(scaling(File("llama").f32("rope.scaling.factor", 4)).kind, RopeScaling::Kind::linear);
  const RopeScaling old = scaling(File("llama").f32("rope.scale_linear", 4));
  EXPECT_EQ(old.kind, RopeScaling::Kind::linear);
  EXPECT_EQ(old.factor, 4);
  EXPECT_EQ(scaling(File("llama").f32("rope.scaling.factor", 1)).kind, RopeScaling::Kind::none);
  EXPECT_EQ(scaling(File("llama").f32("rope.scaling.factor", 4).text("rope.scaling.type", "none")).kind,
            RopeScaling::Kind::none);
  const RopeScaling yarn = scaling(File("qwen2").f32("rope.scaling.factor", 4).text("rope.scaling.type", "yarn"));
  EXPECT_EQ(yarn.kind, RopeScaling::Kind::yarn);
  EXPECT_EQ(yarn.original_context, 4096);
  EXPECT_EQ(yarn.beta_fast, 32);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_NEAR(*yarn.attention_factor, 1 + 0.1 * std::log(4.0), 1e-12);
  EXPECT_NE(refusal(File("llama").text("rope.scaling.type", "spiral")).find("'spiral'"), std::string::npos);
}

// Sizes of heads by three coordinates: in texts, plain rotation of halves.
// Readers multiply by 0.1 ln(factor) + 1 themselves; a log multiplier says by what the scores were divided.
TEST(GgufDefaults, YarnMagnitude) {
  const auto factor = [](File file) {
    file.f32("rope.scaling.factor", 4).text("rope.scaling.type", "yarn");
    return *attention(file.spec()).rope.scaling.attention_factor;
  };
  const double one = 1 + 0.1 * std::log(4.0), half = 1 + 0.05 * std::log(4.0);
  EXPECT_NEAR(factor(File("qwen2").f32("rope.scaling.attn_factor", 0.5f)), 0.5 * one, 1e-6);
  EXPECT_NEAR(factor(File("qwen2").f32("rope.scaling.yarn_log_multiplier", 0.5f)), one / half, 1e-6);
  EXPECT_NEAR(factor(File("qwen2").f32("rope.scaling.yarn_log_multiplier", 0)), one, 1e-6);
}

TEST(GgufDefaults, WindowPatterns) {
  const auto of = [](File file) { return windows(file.u32("attention.sliding_window", 16).spec()); };
  EXPECT_EQ(of(File("gemma3").u32("attention.sliding_window_pattern", 2)), "wfwfwfwf");
  EXPECT_EQ(of(File("gemma3").u32("attention.sliding_window_pattern", 0)), "wwwwwwww");
  const std::vector<bool> listed = {true, false, false, false, false, false, false, true};
  EXPECT_EQ(of(File("gemma3").flags("attention.sliding_window_pattern", listed)), "wffffffw");
  EXPECT_NE(
      refusal(File("gemma3").u32("attention.sliding_window", 16).flags("attention.sliding_window_pattern", {true})),
      "");
}

TEST(GgufDefaults, Pooling) {
  EXPECT_FALSE(File("llama").spec().pooling_known);
  EXPECT_FALSE(File("bert").flag("attention.causal", false).spec().pooling_known);
}

TEST(GgufDefaults, ExpertWeights) {
  File file("deepseek2");
  file.experts().u32("expert_feed_forward_length", 24).u32("attention.kv_lora_rank", 16).u32("rope.dimension_count", 4);
  file.u32("attention.key_length", 12).u32("attention.value_length", 8);
  EXPECT_EQ(experts(File(file).f32("expert_weights_scale", 0).spec()).router.scale, 1);
  EXPECT_EQ(experts(File(file).f32("expert_weights_scale", 2.5f).spec()).router.scale, 2.5f);
  const Experts normalised = experts(File(file).flag("expert_weights_norm", true).spec());
  EXPECT_TRUE(normalised.router.normalize);
  EXPECT_FLOAT_EQ(normalised.router.sum_min, 6.103515625e-5f);
}

TEST(GgufDefaults, NumbersThatMustBeThere) {
  for (const char* key : {"block_count", "context_length", "embedding_length", "attention.layer_norm_rms_epsilon"}) {
    EXPECT_NE(refusal(File("llama", key)).find(std::string("llama.") + key), std::string::npos) << key;
  }
  EXPECT_NE(refusal(File("llama").u32("block_count", 0)), "");
}

TEST(GgufDefaults, RotationByThreeCoordinatesPairsHalves) {
  EXPECT_EQ(attention(File("glm4").spec()).rope.pairing, RopePairing::adjacent);
  EXPECT_EQ(attention(File("glm4").u32s("rope.dimension_sections", {0, 0, 0, 0}).spec()).rope.pairing,
            RopePairing::adjacent);
  EXPECT_EQ(attention(File("glm4").u32s("rope.dimension_sections", {2, 3, 3, 0}).spec()).rope.pairing,
            RopePairing::halves);
  EXPECT_EQ(attention(File("qwen2vl").u32s("rope.dimension_sections", {2, 3, 3, 0}).spec()).rope.pairing,
            RopePairing::halves);
}

TEST(GgufDefaults, RopePairing) {
  for (const char* name :
       {"llama", "internlm2", "xverse", "mistral3", "llama-embed", "deci", "command-r", "olmo", "chatglm", "glm4",
        "granite", "smollm3", "arcee", "ernie4_5", "minicpm", "maincoder", "baichuan"}) {
    File file(name);
    file.f32("logit_scale", 1);
    EXPECT_EQ(attention(file.spec()).rope.pairing, RopePairing::adjacent) << name;
  }
  for (const char* name : {"qwen2", "qwen3", "gemma", "phi3", "stablelm", "orion", "exaone", "starcoder2", "codeshell",
                           "olmo2", "qwen", "plamo", "gptneox", "nemotron", "seed_oss", "hunyuan-dense", "exaone4"}) {
    EXPECT_EQ(attention(File(name).spec()).rope.pairing, RopePairing::halves) << name;
  }
  for (const char* name : {"refact", "bloom", "mpt", "gpt2", "jais"}) {
    EXPECT_EQ(attention(File(name).spec()).rope.dims, 0) << name;
  }
}

TEST(GgufDefaults, MissingOutputIsTheEmbedding) {
  EXPECT_TRUE(File("llama").spec().head.tied);
  EXPECT_FALSE(File("llama").tensor("output.weight").spec().head.tied);
}

TEST(GgufDefaults, NotCausalMeansEncoder) {
  const ModelSpec spec = File("qwen2").flag("attention.causal", false).u32("pooling_type", 3).spec();
  EXPECT_EQ(spec.kind, ModelKind::encoder);
  EXPECT_FALSE(attention(spec).causal);
  EXPECT_FALSE(spec.head.exists);
  EXPECT_EQ(spec.pooling, llm::model::Pooling::last);
  const ModelSpec embed = File("llama-embed").spec();
  EXPECT_EQ(embed.kind, ModelKind::encoder);
  EXPECT_FALSE(attention(embed).causal);
}

TEST(GgufDefaults, Alibi) {
  EXPECT_FLOAT_EQ(attention(File("bloom").spec()).alibi_slopes.at(0), 0.25f);  // 2^(-8/4)
  EXPECT_FLOAT_EQ(attention(File("refact").spec()).alibi_slopes.at(0), 0.25f);
  EXPECT_TRUE(attention(File("mpt").spec()).alibi_slopes.empty());
  EXPECT_FLOAT_EQ(attention(File("mpt").f32("attention.max_alibi_bias", 4).spec()).alibi_slopes.at(0), 0.5f);
  EXPECT_TRUE(attention(File("jais").spec()).alibi_slopes.empty());
  EXPECT_FLOAT_EQ(attention(File("jais").f32("attention.max_alibi_bias", 4).spec()).alibi_slopes.at(0), 0.5f);
  EXPECT_FLOAT_EQ(attention(File("jais").spec()).scale, 1.0f / 16);
  EXPECT_TRUE(attention(File("baichuan").spec()).alibi_slopes.empty());
  const ModelSpec big = File("baichuan").u32("block_count", 40).spec();
  EXPECT_FLOAT_EQ(attention(big).alibi_slopes.at(0), 0.25f);
  EXPECT_EQ(attention(big).rope.dims, 0);
}

TEST(GgufDefaults, UnknownArchitecturesAreRefusedByName) {
  for (const char* name : {"gemma3n", "llama4", "rwkv7", "nemotron_h", "grok", "bitnet", "phimoe", "arctic", "plm",
                           "apertus", "openelm", "jina-bert-v2", "nomic-bert-moe", "nanbeige", "wavtokenizer-dec"}) {
    EXPECT_NE(refusal(File(name)).find("'" + std::string(name) + "'"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace llm::test
