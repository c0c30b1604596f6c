#include "gguf_metadata.h"

// What GGUF files of encoders and encoder-decoders may leave out, architecture by architecture. Sources: the values
// that the field's engines assume (docs/models.md).

namespace llm::test {
namespace {

TEST(GgufDefaults, GemmaEmbedding) {
  const ModelSpec spec = File("gemma-embedding").u32("attention.sliding_window", 512).spec();
  EXPECT_EQ(spec.kind, ModelKind::encoder);
  EXPECT_EQ(windows(spec), "wwwwwfww");
  EXPECT_EQ(attention(spec).window_kind, WindowKind::symmetric);
  EXPECT_FALSE(attention(spec).causal);
  EXPECT_EQ(attention(spec).rope.base, 10'000);
  EXPECT_NE(refusal(File("gemma-embedding")).find("sliding_window"), std::string::npos);
}

TEST(GgufDefaults, Encoders) {
  EXPECT_TRUE(attention(File("bert").spec()).causal);  // files that are not say so
  EXPECT_FALSE(attention(File("bert").flag("attention.causal", false).spec()).causal);
  File modern("modern-bert");
  modern.flag("attention.causal", false);
  EXPECT_EQ(windows(modern.spec()), "ffffffff");
  modern.u32("attention.sliding_window", 16).f32("rope.freq_base", 160'000);
  const ModelSpec spec = modern.spec();
  EXPECT_EQ(windows(spec), "fwwfwwfw");
  EXPECT_EQ(attention(spec, 1).window_kind, WindowKind::symmetric);
  EXPECT_EQ(attention(spec, 0).rope.base, 160'000);
  EXPECT_EQ(attention(spec, 1).rope.base, 10'000);
  EXPECT_EQ(mlp(spec).activation, Activation::gelu_erf);
  EXPECT_TRUE(mlp(spec).gated);
  EXPECT_EQ(mlp(File(modern).text("hidden_activation", "silu").spec()).activation, Activation::silu);
}

TEST(GgufDefaults, ModelsThatFillMasks) {
  for (const char* name : {"dream", "llada", "llada-moe", "rnd1"}) {
    const ModelSpec spec = File(name).experts().spec();
    EXPECT_EQ(spec.kind, ModelKind::encoder) << name;
    EXPECT_TRUE(spec.head.exists) << name;
    EXPECT_FALSE(attention(spec).causal) << name;
    EXPECT_EQ(attention(spec).rope.pairing == RopePairing::adjacent, std::string(name) == "llada") << name;
  }
  EXPECT_FALSE(experts(File("llada-moe").experts().spec()).router.normalize);
  EXPECT_TRUE(experts(File("rnd1").experts().spec()).router.normalize);
  EXPECT_EQ(experts(File("rnd1").experts().spec()).width, 48);  // feed_forward_length / expert_used_count
}

TEST(GgufDefaults, RotatedEncoders) {
  const ModelSpec jina = File("jina-bert-v3").flag("attention.causal", false).spec();
  EXPECT_EQ(attention(jina).rope.dims, 16);
  EXPECT_FALSE(attention(jina).causal);
  EXPECT_FALSE(mlp(jina).gated);
  EXPECT_EQ(jina.decoder.embedding.positions, model::Positions::none);
  EXPECT_EQ(attention(File("eurobert").spec()).rope.pairing, RopePairing::halves);
  EXPECT_FALSE(attention(File("eurobert").spec()).causal);
}

TEST(GgufDefaults, T5) {
  const auto relative = [](const ModelSpec& spec) { return attention(spec).relative; };
  File file("t5");
  file.u32("attention.relative_buckets_count", 16);
  const ModelSpec spec = file.spec();
  EXPECT_EQ(spec.kind, ModelKind::encoder_decoder);
  EXPECT_EQ(spec.encoder.layers.size(), 8);
  EXPECT_EQ(spec.n_layer, 8);
  EXPECT_EQ(relative(spec).n_buckets, 16);
  EXPECT_EQ(relative(spec).max_distance, 128);
  EXPECT_EQ(attention(spec).scale, 1);
  EXPECT_EQ(mlp(spec).activation, Activation::relu);
  EXPECT_EQ(spec.decoder_start_token, 0);
  EXPECT_EQ(File(file).u32("decoder_block_count", 3).spec().n_layer, 3);
  EXPECT_NE(refusal(File("t5")).find("t5.attention.relative_buckets_count"), std::string::npos);
  EXPECT_NE(refusal(File("t5encoder")).find("t5encoder.attention.relative_buckets_count"), std::string::npos);
  const ModelSpec encoder = File("t5encoder").u32("attention.relative_buckets_count", 32).spec();
  EXPECT_EQ(encoder.kind, ModelKind::encoder);
  EXPECT_TRUE(relative(encoder).both_sides);
}

}  // namespace
}  // namespace llm::test
