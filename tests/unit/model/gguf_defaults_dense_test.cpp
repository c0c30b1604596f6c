#include "gguf_metadata.h"

// What GGUF files of dense decoders may leave out, architecture by architecture. Sources: the values that the
// field's engines assume (docs/models.md).

namespace llm::test {
namespace {

TEST(GgufDefaults, Llama) {
  EXPECT_EQ(attention(File("llama").f32("attention.scale", 0).spec()).scale, 0);
  EXPECT_EQ(attention(File("llama").f32("attention.scale", 0.5f).spec()).scale, 0.5f);
  const Experts e = experts(File("llama").experts().spec());
  EXPECT_EQ(e.router.score, Router::Score::softmax);
  EXPECT_TRUE(e.router.normalize);
  EXPECT_EQ(e.width, 96);
  EXPECT_NE(refusal(File("mistral3").f32("attention.temperature_scale", 0.1f)).find("attention.temperature_scale"),
            std::string::npos);
  EXPECT_EQ(refusal(File("mistral3").f32("attention.temperature_scale", 0)), "");
}

TEST(GgufDefaults, Gemma) {
  const ModelSpec spec = File("gemma").spec();
  EXPECT_EQ(spec.decoder.embedding.scale, 8);
  EXPECT_TRUE(spec.head.tied);
  EXPECT_EQ(mlp(spec).activation, Activation::gelu_tanh);
}

TEST(GgufDefaults, Gemma2) {
  const ModelSpec spec = File("gemma2").spec();
  EXPECT_EQ(windows(spec), "wfwfwfwf");
  EXPECT_EQ(attention(spec).window, 4096);
  EXPECT_EQ(attention(spec).softcap, 50);
  EXPECT_EQ(spec.head.softcap, 30);
  EXPECT_EQ(spec.decoder.embedding.scale, 8);
  EXPECT_FLOAT_EQ(attention(spec).scale, 0.25f);
  // The 27B has heads that are not n_embd / n_head wide and scales by the latter.
  EXPECT_FLOAT_EQ(attention(File("gemma2").u32("block_count", 46).u32("attention.key_length", 64).spec()).scale, 0.25f);
  EXPECT_FLOAT_EQ(attention(File("gemma2").u32("attention.key_length", 64).spec()).scale, 0.125f);
}

TEST(GgufDefaults, Gemma3) {
  EXPECT_EQ(windows(File("gemma3").spec()), "ffffffff");
  EXPECT_EQ(windows(File("gemma3").u32("attention.sliding_window", 0).spec()), "ffffffff");
  const ModelSpec spec = File("gemma3")
                             .u32("attention.sliding_window", 512)
                             .f32("rope.freq_base", 1e6f)
                             .f32("rope.scaling.factor", 8)
                             .spec();
  EXPECT_EQ(windows(spec), "wwwwwfww");
  EXPECT_EQ(attention(spec, 0).rope.base, 10'000);
  EXPECT_EQ(attention(spec, 0).rope.scaling.kind, RopeScaling::Kind::none);
  EXPECT_EQ(attention(spec, 5).rope.base, 1e6);
  EXPECT_EQ(attention(spec, 5).rope.scaling.kind, RopeScaling::Kind::linear);
  EXPECT_EQ(attention(spec).softcap, 0);
  EXPECT_EQ(spec.head.softcap, 0);
  EXPECT_FLOAT_EQ(attention(File("gemma3").u32("block_count", 62).u32("attention.key_length", 64).spec()).scale, 0.25f);
}

TEST(GgufDefaults, Phi) {
  EXPECT_EQ(File("phi3").spec().decoder.layers[0].pre_mixer->kind, NormKind::rms);
  EXPECT_EQ(windows(File("phi3").u32("attention.sliding_window", 2047).spec()), "ffffffff");
  const ModelSpec phi2 = File("phi2").spec();
  EXPECT_EQ(phi2.decoder.layers[0].pre_mixer->kind, NormKind::layer);
  EXPECT_TRUE(phi2.decoder.layers[0].parallel);
}

TEST(GgufDefaults, Cohere) {
  const ModelSpec spec = File("command-r").spec();
  EXPECT_EQ(spec.decoder.layers[0].pre_mixer->kind, NormKind::layer);
  EXPECT_TRUE(spec.decoder.layers[0].parallel);
  EXPECT_EQ(spec.head.scale, 1);
  EXPECT_EQ(File("command-r").f32("logit_scale", 0).spec().head.scale, 1);
  EXPECT_EQ(File("command-r").f32("logit_scale", 0.5f).spec().head.scale, 0.5f);
  const ModelSpec second = File("cohere2").u32("attention.sliding_window", 16).f32("logit_scale", 0.25f).spec();
  EXPECT_EQ(windows(second), "wwwfwwwf");
  EXPECT_EQ(rotations(second), "rrr-rrr-");
  EXPECT_NE(refusal(File("cohere2")).find("sliding_window"), std::string::npos);
}

TEST(GgufDefaults, Exaone4) {
  EXPECT_EQ(windows(File("exaone4").spec()), "ffffffff");
  EXPECT_EQ(rotations(File("exaone4").spec()), "rrrrrrrr");
  const ModelSpec big = File("exaone4").u32("block_count", 64).spec();
  EXPECT_EQ(windows(big).substr(0, 8), "wwwfwwwf");
  EXPECT_EQ(rotations(big).substr(0, 8), "rrr-rrr-");
  EXPECT_EQ(attention(big).window, 4096);
}

TEST(GgufDefaults, Olmo) {
  EXPECT_FALSE(File("olmo").spec().decoder.layers[0].pre_mixer->weight);
  EXPECT_EQ(attention(File("olmo").spec()).clamp, 0);
  EXPECT_EQ(windows(File("olmo2").spec()), "ffffffff");
  const ModelSpec third = File("olmo2")
                              .u32("attention.sliding_window", 8)
                              .f32("rope.freq_base", 5e5f)
                              .f32("rope.scaling.factor", 8)
                              .text("rope.scaling.type", "yarn")
                              .spec();
  EXPECT_EQ(windows(third), "wwwfwwwf");
  EXPECT_EQ(attention(third, 0).rope.base, 5e5);
  EXPECT_EQ(attention(third, 0).rope.scaling.kind, RopeScaling::Kind::none);
  EXPECT_EQ(attention(third, 3).rope.scaling.kind, RopeScaling::Kind::yarn);
  EXPECT_FALSE(third.decoder.layers[0].pre_mixer.has_value());
}

TEST(GgufDefaults, SmolLm3) {
  EXPECT_EQ(rotations(File("smollm3").spec()), "rrr-rrr-");
}

TEST(GgufDefaults, Granite) {
  const ModelSpec plain = File("granite").f32("logit_scale", 4).spec();
  EXPECT_FLOAT_EQ(plain.head.scale, 0.25f);
  EXPECT_EQ(plain.decoder.embedding.scale, 1);
  EXPECT_EQ(plain.decoder.layers[0].residual_scale, 1);
  EXPECT_EQ(attention(plain).scale, 0);
  EXPECT_EQ(rotations(plain), "rrrrrrrr");
  const ModelSpec zero = File("granite")
                             .f32("logit_scale", 4)
                             .f32("embedding_scale", 0)
                             .f32("residual_scale", 0)
                             .f32("attention.scale", 0)
                             .spec();
  EXPECT_EQ(zero.decoder.embedding.scale, 1);
  EXPECT_EQ(zero.decoder.layers[0].residual_scale, 1);
  EXPECT_EQ(attention(zero).scale, 0);
  EXPECT_EQ(rotations(File("granite").f32("logit_scale", 4).flag("rope.scaling.finetuned", false).spec()), "--------");
  const Experts e = experts(File("granitemoe").f32("logit_scale", 4).experts().spec());
  EXPECT_TRUE(e.router.softmax_of_chosen);
}

TEST(GgufDefaults, MiniCpm) {
  const ModelSpec spec = File("minicpm").spec();
  EXPECT_EQ(spec.decoder.embedding.scale, 12);
  EXPECT_FLOAT_EQ(spec.decoder.layers[0].residual_scale, 1.4f / std::sqrt(8.0f));
  EXPECT_FLOAT_EQ(spec.head.scale, 256.0f / 64);
}

TEST(GgufDefaults, HunyuanBase) {
  EXPECT_NEAR(attention(File("hunyuan-dense").f32("rope.scaling.alpha", 1000).spec()).rope.base,
              10'000 * std::pow(1000.0, 16.0 / 14), 1e-3);
  EXPECT_TRUE(std::holds_alternative<Mlp>(File("hunyuan-dense").u32("expert_count", 1).spec().decoder.layers[0].ffn));
}

TEST(GgufDefaults, Relatives) {
  EXPECT_EQ(mlp(File("qwen").spec()).width, 48);
  EXPECT_TRUE(File("plamo").spec().decoder.layers[0].parallel);
  EXPECT_TRUE(attention(File("maincoder").spec()).qk_norm_after_rope);
  const ModelSpec deci = File("deci")
                             .u32s("attention.head_count", {4, 0, 4, 4, 4, 4, 4, 4})
                             .u32s("attention.head_count_kv", {2, 0, 2, 2, 2, 2, 2, 2})
                             .u32s("feed_forward_length", {96, 96, 0, 96, 96, 96, 96, 48})
                             .spec();
  EXPECT_TRUE(deci.decoder.layers[1].mixers.empty());
  EXPECT_FALSE(deci.decoder.layers[1].pre_mixer.has_value());
  EXPECT_TRUE(std::holds_alternative<std::monostate>(deci.decoder.layers[2].ffn));
  EXPECT_EQ(mlp(deci, 7).width, 48);
}

}  // namespace
}  // namespace llm::test
