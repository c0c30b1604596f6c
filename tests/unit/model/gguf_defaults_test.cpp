#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <llm/error.hpp>

#include "formats/gguf_writer.h"
#include "model/family.h"
#include "temporary_folder.h"

// What GGUF files may leave out, architecture by architecture: metadata alone to the specification. Sources: the values
// that the field's engines assume (docs/models.md).

namespace {

using llm::formats::GgufHeader;
using llm::formats::GgufWriter;
using llm::formats::WeightsFile;
using llm::kernels::NormKind;
using llm::model::Activation;
using llm::model::Attention;
using llm::model::Experts;
using llm::model::GatedDelta;
using llm::model::Hyper;
using llm::model::LatentAttention;
using llm::model::Mamba;
using llm::model::Mlp;
using llm::model::ModelKind;
using llm::model::ModelSpec;
using llm::model::RopePairing;
using llm::model::RopeScaling;
using llm::model::WindowKind;
using Router = llm::ops::Router;

// A file's metadata with the keys that every architecture must have; no tensors but those named.
class File {
 public:
  explicit File(std::string architecture) : architecture_(std::move(architecture)) {
    header_.set_string("general.architecture", architecture_);
    header_.set_string("tokenizer.ggml.model", "none");
    u32("block_count", 8).u32("context_length", 4096).u32("embedding_length", 64).u32("feed_forward_length", 96);
    u32("attention.head_count", 4).u32("vocab_size", 100);
    f32("attention.layer_norm_rms_epsilon", 1e-5f).f32("attention.layer_norm_epsilon", 1e-5f);
  }
  File& u32(const std::string& key, std::uint32_t value) {
    header_.set_u32(name(key), value);
    return *this;
  }
  File& f32(const std::string& key, float value) {
    header_.set_f32(name(key), value);
    return *this;
  }
  File& flag(const std::string& key, bool value) {
    header_.set_bool(name(key), value);
    return *this;
  }
  File& text(const std::string& key, const std::string& value) {
    header_.set_string(name(key), value);
    return *this;
  }
  File& u32s(const std::string& key, const std::vector<std::uint32_t>& values) {
    header_.set_u32s(name(key), values);
    return *this;
  }
  File& flags(const std::string& key, const std::vector<bool>& values) {
    header_.set_bools(name(key), values);
    return *this;
  }
  // An empty tensor: that it is there.
  File& tensor(const std::string& tensor_name) {
    header_.add_tensor(tensor_name, llm::TensorType::F32, std::vector<std::int64_t>{1});
    return *this;
  }
  File& experts(std::uint32_t count = 4, std::uint32_t used = 2) {
    return u32("expert_count", count).u32("expert_used_count", used);
  }

  ModelSpec spec() const {
    const llm::test::TemporaryFolder folder;
    GgufWriter writer(folder.file("m.gguf"), header_);
    for (std::size_t i = 0; i < header_.tensors().size(); ++i) writer.write(std::vector<std::byte>(4));
    writer.finish();
    const auto file = WeightsFile::open(folder.file("m.gguf"));
    const Hyper hyper(*file);
    return llm::model::resolve(hyper, llm::model::find_family(hyper));
  }

 private:
  std::string name(const std::string& key) const { return architecture_ + "." + key; }
  std::string architecture_;
  GgufHeader header_;
};

const Attention& attention(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<Attention>(spec.decoder.layers.at(layer).mixers.front());
}
const Experts& experts(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<Experts>(spec.decoder.layers.at(layer).ffn);
}
const Mlp& mlp(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<Mlp>(spec.decoder.layers.at(layer).ffn);
}

// "wwwf": windowed, windowed, windowed, full ...
std::string windows(const ModelSpec& spec) {
  std::string all;
  for (std::size_t i = 0; i < spec.decoder.layers.size(); ++i) {
    all += attention(spec, i).window_kind == WindowKind::none ? 'f' : 'w';
  }
  return all;
}
// "r" rotated, "-" not.
std::string rotations(const ModelSpec& spec) {
  std::string all;
  for (std::size_t i = 0; i < spec.decoder.layers.size(); ++i) all += attention(spec, i).rope.dims != 0 ? 'r' : '-';
  return all;
}

std::string refusal(const File& file) {
  try {
    file.spec();
  } catch (const llm::Error& error) {
    return error.message();
  }
  return "";
}

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

TEST(GgufDefaults, GemmaEmbedding) {
  const ModelSpec spec = File("gemma-embedding").u32("attention.sliding_window", 512).spec();
  EXPECT_EQ(spec.kind, ModelKind::encoder);
  EXPECT_EQ(windows(spec), "wwwwwfww");
  EXPECT_EQ(attention(spec).window_kind, WindowKind::symmetric);
  EXPECT_FALSE(attention(spec).causal);
  EXPECT_EQ(attention(spec).rope.base, 10'000);
  EXPECT_NE(refusal(File("gemma-embedding")).find("sliding_window"), std::string::npos);
  EXPECT_NE(refusal(File("gemma-embedding").u32("attention.sliding_window", 512).tensor("dense_2.weight")), "");
}

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
  for (const char* name : {"olmoe", "deepseek"}) {
    const Experts e =
        experts(File(name).experts().u32("expert_feed_forward_length", 24).u32("expert_shared_count", 2).spec());
    EXPECT_EQ(e.router.score, Router::Score::softmax) << name;
    EXPECT_FALSE(e.router.normalize) << name;
  }
}

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

TEST(GgufDefaults, Phi) {
  EXPECT_EQ(File("phi3").spec().decoder.layers[0].pre_mixer->kind, NormKind::rms);
  const ModelSpec phi2 = File("phi2").spec();
  EXPECT_EQ(phi2.decoder.layers[0].pre_mixer->kind, NormKind::layer);
  EXPECT_TRUE(phi2.decoder.layers[0].parallel);
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

TEST(GgufDefaults, HunyuanBase) {
  EXPECT_NEAR(attention(File("hunyuan-dense").f32("rope.scaling.alpha", 1000).spec()).rope.base,
              10'000 * std::pow(1000.0, 16.0 / 14), 1e-3);
  EXPECT_TRUE(std::holds_alternative<Mlp>(File("hunyuan-dense").u32("expert_count", 1).spec().decoder.layers[0].ffn));
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

TEST(GgufDefaults, UnknownArchitecturesAreRefusedByName) {
  for (const char* name :
       {"gemma3n", "llama4", "rwkv7", "nemotron_h", "grok", "dream", "bitnet", "phimoe", "arctic", "plm", "apertus",
        "openelm", "jina-bert-v2", "nomic-bert-moe", "nanbeige", "wavtokenizer-dec"}) {
    EXPECT_NE(refusal(File(name)).find("'" + std::string(name) + "'"), std::string::npos) << name;
  }
}

}  // namespace
