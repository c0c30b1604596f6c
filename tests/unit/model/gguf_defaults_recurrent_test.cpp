#include "gguf_metadata.h"

// What GGUF files of models with recurrent layers may leave out, architecture by architecture. Sources: the values that
// the field's engines assume (docs/models.md).

namespace llm::test {
namespace {

TEST(GgufDefaults, Qwen3Next) {
  File file("qwen3next");
  file.experts().u32("expert_feed_forward_length", 24).u32("expert_shared_feed_forward_length", 24);
  file.u32("ssm.conv_kernel", 4).u32("ssm.inner_size", 32).u32("ssm.state_size", 8).u32("ssm.time_step_rank", 4);
  file.u32("ssm.group_count", 2);
  const auto recurrent = [](const ModelSpec& spec) {
    std::string all;
    for (const auto& layer : spec.decoder.layers) {
      all += std::holds_alternative<GatedDelta>(layer.mixers.front()) ? 'r' : 'a';
    }
    return all;
  };
  EXPECT_EQ(recurrent(file.spec()), "rrrarrra");
  EXPECT_TRUE(experts(file.spec()).router.normalize);
  EXPECT_EQ(recurrent(File(file).u32("full_attention_interval", 2).spec()), "rararara");
  const std::vector<bool> listed = {false, true, true, true, true, true, true, true};
  EXPECT_EQ(recurrent(File(file).flags("attention.recurrent_layers", listed).spec()), "arrrrrrr");
}

TEST(GgufDefaults, RecurrentLayersHaveNoKeyValueHeads) {
  const std::vector<std::uint32_t> heads = {0, 2, 0, 0, 2, 0, 0, 2};
  const auto recurrent = [](const ModelSpec& spec) {
    std::string all;
    for (const auto& layer : spec.decoder.layers) {
      all += std::holds_alternative<Attention>(layer.mixers.front()) ? 'a' : 'r';
    }
    return all;
  };
  File lfm2("lfm2");
  lfm2.u32s("attention.head_count_kv", heads).u32("shortconv.l_cache", 3);
  EXPECT_EQ(recurrent(lfm2.spec()), "rarrarra");
  File jamba("jamba");
  jamba.u32s("attention.head_count_kv", heads).u32("ssm.conv_kernel", 4).u32("ssm.inner_size", 128);
  jamba.u32("ssm.state_size", 8).u32("ssm.time_step_rank", 4);
  EXPECT_EQ(recurrent(jamba.spec()), "rarrarra");
  EXPECT_EQ(attention(jamba.spec(), 1).rope.dims, 0);
  File granite("granitehybrid");
  granite.u32s("attention.head_count_kv", heads).u32("ssm.conv_kernel", 4).u32("ssm.inner_size", 128);
  granite.u32("ssm.state_size", 8).u32("ssm.time_step_rank", 4).u32("ssm.group_count", 1);
  EXPECT_EQ(recurrent(granite.spec()), "rarrarra");
  EXPECT_EQ(granite.spec().head.scale, 1);  // logit_scale may be absent here
}

TEST(GgufDefaults, Mamba) {
  File file("mamba");
  file.u32("ssm.conv_kernel", 4).u32("ssm.inner_size", 128).u32("ssm.state_size", 8).u32("ssm.time_step_rank", 4);
  EXPECT_FALSE(std::get<Mamba>(file.spec().decoder.layers[0].mixers.front()).norm.has_value());
  EXPECT_TRUE(std::get<Mamba>(File(file).flag("ssm.dt_b_c_rms", true).spec().decoder.layers[0].mixers.front())
                  .norm.has_value());
}

}  // namespace
}  // namespace llm::test
