#include "gguf_metadata.h"

// What GGUF files of mixtures of experts may leave out, architecture by architecture. Sources: the values that the
// field's engines assume (docs/models.md).

namespace llm::test {
namespace {

TEST(GgufDefaults, Qwen2Moe) {
  const Experts e = experts(File("qwen2moe").experts().spec());
  EXPECT_EQ(e.router.score, Router::Score::softmax);
  EXPECT_FALSE(e.router.normalize);
  EXPECT_EQ(e.width, 48);  // feed_forward_length / expert_used_count
  ASSERT_TRUE(e.shared.has_value());
  EXPECT_EQ(e.shared->width, 96);
  EXPECT_TRUE(e.shared_gate);
}

TEST(GgufDefaults, Qwen3Moe) {
  for (const char* name : {"qwen3moe", "qwen3vlmoe", "mellum"}) {
    const ModelSpec spec = File(name).experts().spec();
    EXPECT_TRUE(experts(spec).router.normalize) << name;
    EXPECT_EQ(experts(spec).width, 48) << name;
    EXPECT_EQ(attention(spec).qk_norm_over, Attention::NormOver::head) << name;
    EXPECT_EQ(windows(spec), "ffffffff") << name;
  }
  const ModelSpec windowed = File("mellum").experts().u32("attention.sliding_window", 8).spec();
  EXPECT_EQ(windows(windowed), "wwwfwwwf");
}

TEST(GgufDefaults, SoftmaxWithoutNormalising) {
  for (const char* name : {"olmoe", "deepseek", "jamba"}) {
    File file(name);
    file.experts().u32("expert_feed_forward_length", 24).u32("expert_shared_count", 2);
    file.u32("ssm.conv_kernel", 4).u32("ssm.inner_size", 128).u32("ssm.state_size", 8).u32("ssm.time_step_rank", 4);
    file.tensor("blk.0.ffn_gate_inp.weight");  // jamba's experts are where their router is
    const Experts e = experts(file.spec());
    EXPECT_EQ(e.router.score, Router::Score::softmax) << name;
    EXPECT_FALSE(e.router.normalize) << name;
  }
}

TEST(GgufDefaults, GptOss) {
  File file("gpt-oss");
  file.experts()
      .u32("expert_feed_forward_length", 24)
      .u32("attention.sliding_window", 128)
      .f32("rope.freq_base", 150'000);
  const ModelSpec spec = file.spec();
  EXPECT_EQ(windows(spec), "wfwfwfwf");
  EXPECT_EQ(attention(spec, 0).rope.base, 150'000);
  EXPECT_TRUE(attention(spec).sinks);
  const Experts& e = experts(spec);
  EXPECT_TRUE(e.router_bias);
  EXPECT_TRUE(e.router.softmax_of_chosen);
  EXPECT_EQ(e.limit, 7.0f);
}

TEST(GgufDefaults, DeepSeek2) {
  File lite("deepseek2");
  lite.experts().u32("expert_feed_forward_length", 24).u32("attention.kv_lora_rank", 16).u32("rope.dimension_count", 4);
  lite.u32("attention.key_length", 12).u32("attention.value_length", 8);
  const ModelSpec old = lite.spec();
  const auto& a = std::get<LatentAttention>(old.decoder.layers[0].mixers.front());
  EXPECT_EQ(a.q_rank, 0);
  EXPECT_EQ(a.nope_dim, 8);  // without the _mla keys: sizes of the expanded heads
  EXPECT_EQ(a.value_dim, 8);
  EXPECT_FLOAT_EQ(a.scale, 1 / std::sqrt(12.0f));
  EXPECT_EQ(experts(old).router.score, Router::Score::softmax);
  EXPECT_FALSE(experts(old).router.normalize);
  EXPECT_EQ(experts(old).router.scale, 1);
  EXPECT_EQ(experts(old).router.n_groups, 1);
  const Experts grouped = experts(File(lite).u32("expert_group_count", 2).u32("expert_group_used_count", 1).spec());
  EXPECT_EQ(grouped.router.n_groups, 2);
  EXPECT_TRUE(grouped.router.group_by_best_two);
  EXPECT_FLOAT_EQ(grouped.router.sum_min, 6.103515625e-5f);
  EXPECT_EQ(experts(File(lite).u32("expert_gating_func", 2).spec()).router.score, Router::Score::sigmoid);
  EXPECT_EQ(experts(File(lite).u32("block_count", 47).u32("vocab_size", 154880).spec()).router.score,
            Router::Score::sigmoid);
}

TEST(GgufDefaults, Glm4Moe) {
  File file("glm4moe");
  file.experts().u32("expert_feed_forward_length", 24).u32("expert_shared_count", 1);
  const Experts e = experts(file.spec());
  EXPECT_EQ(e.router.score, Router::Score::sigmoid);
  EXPECT_FALSE(e.router.normalize);
  EXPECT_EQ(e.router.scale, 1);
  // Layers that predict further tokens are the last ones, and are left out.
  EXPECT_EQ(File(file).u32("nextn_predict_layers", 1).spec().n_layer, 7);
}

TEST(GgufDefaults, SigmoidRouters) {
  const Experts minimax = experts(File("minimax-m2").experts().u32("expert_feed_forward_length", 24).spec());
  EXPECT_EQ(minimax.router.score, Router::Score::sigmoid);
  EXPECT_TRUE(minimax.router.normalize);
  EXPECT_TRUE(minimax.correction_bias);
  File lfm2("lfm2moe");
  lfm2.experts().u32("expert_feed_forward_length", 24).u32("expert_gating_func", 2).u32("shortconv.l_cache", 3);
  lfm2.u32("leading_dense_block_count", 2);
  EXPECT_EQ(experts(lfm2.spec(), 2).router.score, Router::Score::sigmoid);
  EXPECT_TRUE(experts(lfm2.spec(), 2).router.normalize);
  EXPECT_EQ(mlp(lfm2.spec(), 1).width, 96);
}

TEST(GgufDefaults, BailingMoe) {
  File file("bailingmoe");
  file.experts().u32("expert_feed_forward_length", 24).u32("expert_shared_count", 2);
  const Experts e = experts(file.spec());
  EXPECT_EQ(e.router.score, Router::Score::softmax);
  EXPECT_FALSE(e.router.normalize);
  EXPECT_EQ(e.router.scale, 1);
  EXPECT_EQ(e.shared->width, 48);
  EXPECT_TRUE(experts(File(file).flag("expert_weights_norm", true).spec()).router.normalize);
}

TEST(GgufDefaults, SoftmaxNormalised) {
  File ernie("ernie4_5-moe");
  ernie.experts().u32("expert_feed_forward_length", 24).u32("interleave_moe_layer_step", 1);
  ernie.u32("leading_dense_block_count", 0);
  EXPECT_TRUE(experts(ernie.spec()).router.normalize);
  const Experts hunyuan = experts(File("hunyuan-moe").experts().u32("expert_feed_forward_length", 24).spec());
  EXPECT_TRUE(hunyuan.router.normalize);
  EXPECT_EQ(hunyuan.shared->width, 96);
  File dbrx("dbrx");
  dbrx.experts().f32("attention.clamp_kqv", 8);
  EXPECT_TRUE(experts(dbrx.spec()).router.normalize);
  EXPECT_EQ(attention(dbrx.spec()).clamp, 8);
  EXPECT_NE(refusal(File("dbrx").experts()).find("clamp_kqv"), std::string::npos);
}

}  // namespace
}  // namespace llm::test
