#include <gtest/gtest.h>

#include <cmath>
#include <string_view>

#include "editable_gguf.h"
#include "model/model.h"
#include "model_runner.h"
#include "temporary_folder.h"

// GGUF architectures that share a forward pass: a golden model written under a relative's name, or with its tensors
// laid out as the relative has them, gives the same logits.

namespace {

using llm::formats::WeightsFile;
using llm::model::Model;

class Relatives : public testing::Test {
 protected:
  static EditableGguf golden(const std::string& entry) {
    return EditableGguf(LLM_TEST_DATA "/golden/" + entry + "/model.gguf");
  }

  std::vector<float> logits(const EditableGguf& gguf) const {
    gguf.write(folder_.file("m.gguf"));
    const auto model = Model::load(WeightsFile::open(folder_.file("m.gguf")));
    EXPECT_EQ(model->unused_tensors(), std::vector<std::string>{});
    llm::model::ExecutorOptions options;
    options.max_rows = 64;
    options.max_context = 64;
    options.exact = true;
    options.kv_type = llm::TensorType::F32;
    ModelRunner runner(*model, options);
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 20; ++i) ids.push_back((7 * i + 3) % 70);
    const bool encodes = model->spec().kind == llm::model::ModelKind::encoder;
    return encodes ? runner.run(ids).last_hidden : runner.run(ids).logits;
  }

  void expect_equal(const EditableGguf& a, const EditableGguf& b, float tolerance = 0) const {
    const std::vector<float> x = logits(a), y = logits(b);
    ASSERT_EQ(x.size(), y.size());
    float largest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::fabs(x[i] - y[i]));
    EXPECT_LE(largest, tolerance);
  }

  llm::test::TemporaryFolder folder_;
};

TEST_F(Relatives, DifferByNameAlone) {
  const std::pair<const char*, std::vector<const char*>> groups[] = {
      {"llama-gqa", {"internlm2", "xverse", "mistral3", "deci", "baichuan"}},
      {"qwen2", {"qwen2vl", "exaone", "pangu-embedded"}},
      {"qwen3", {"qwen3vl"}},
      {"qwen3_moe", {"qwen3vlmoe", "mellum"}},
      {"starcoder2", {"codeshell"}},
      {"stablelm", {"orion"}},
      {"granite", {"minicpm"}}};
  for (const auto& [entry, names] : groups) {
    const EditableGguf original = golden(entry);
    for (const char* name : names) {
      SCOPED_TRACE(name);
      EditableGguf relative = golden(entry);
      relative.rename(name);
      // All of granite's score scale is said by a key that minicpm does not have.
      EditableGguf base = golden(entry);
      if (std::string(name) == "minicpm") {
        base.header.set_f32("granite.attention.scale", 0);
        relative.header.set_f32("minicpm.attention.scale", 0);
      }
      expect_equal(base, relative);
    }
  }
}

// Models that fill masks: as their relatives with attention to both sides, of which the hidden states are compared.
TEST_F(Relatives, ModelsThatFillMasks) {
  const std::pair<const char*, const char*> pairs[] = {
      {"qwen2", "dream"}, {"llama-gqa", "llada"}, {"qwen3_moe", "rnd1"}, {"llama-gqa", "llama-embed"}};
  for (const auto& [entry, name] : pairs) {
    SCOPED_TRACE(name);
    EditableGguf base = golden(entry), relative = golden(entry);
    const std::string architecture = base.architecture();
    base.header.set_bool(architecture + ".attention.causal", false);
    base.tensors.erase("output.weight");
    relative.rename(name);
    if (std::string_view(name) == "llama-embed") relative.tensors.erase("output.weight");
    expect_equal(base, relative);
  }
}

// Rows of q and k in neighbouring pairs are in halves where rotation has three coordinates.
TEST_F(Relatives, RotationByCoordinates) {
  EditableGguf base = golden("hunyuan_v1_dense-plain"), relative = golden("hunyuan_v1_dense-plain");
  relative.rename("hunyuan_vl");
  relative.header.set_u32s("hunyuan_vl.rope.dimension_sections", std::vector<std::uint32_t>{1, 1, 2, 0});
  expect_equal(base, relative);
}

TEST_F(Relatives, QwenFusesProjectionsAndCountsGateAndUp) {
  EditableGguf base = golden("qwen2");
  base.header.set_u32("qwen2.attention.head_count_kv", 4);
  for (int layer : {0, 1}) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    for (const char* name : {"attn_k", "attn_v"}) {  // as many heads as queries: each one twice
      for (const char* ending : {".weight", ".bias"}) {
        EditableGguf::Tensor& t = base.tensors[block + name + ending];
        const std::size_t half = t.values.size() / 2;
        std::vector<float> twice;
        for (const std::size_t head : {0u, 0u, 1u, 1u}) {
          twice.insert(twice.end(), t.values.begin() + static_cast<std::ptrdiff_t>(head * half),
                       t.values.begin() + static_cast<std::ptrdiff_t>((head + 1) * half));
        }
        t.values = twice;
        t.extent.back() *= 2;
      }
    }
  }
  base.write(folder_.file("base.gguf"));
  EditableGguf qwen(folder_.file("base.gguf"));
  qwen.rename("qwen");
  qwen.header.set_u32("qwen.feed_forward_length", 80);
  for (const char* layer : {"blk.0.", "blk.1."}) {
    for (const char* ending : {".weight", ".bias"}) {
      const std::string b(layer), e(ending);
      qwen.fuse({b + "attn_q" + e, b + "attn_k" + e, b + "attn_v" + e}, b + "attn_qkv" + e);
    }
  }
  expect_equal(base, qwen);
}

// Shared experts whose outputs are zero leave a mixture of experts as it was.
TEST_F(Relatives, BailingMoeIsMixtralWithSharedExperts) {
  EditableGguf base = golden("mixtral");
  EditableGguf relative = golden("mixtral");
  relative.rename("bailingmoe");
  relative.header.set_u32("bailingmoe.expert_feed_forward_length", 20);
  relative.header.set_u32("bailingmoe.expert_shared_count", 2);
  relative.header.set_bool("bailingmoe.expert_weights_norm", true);
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    relative.tensors[layer + "ffn_gate_shexp.weight"] = {{32, 40}, std::vector<float>(32 * 40, 0.5f)};
    relative.tensors[layer + "ffn_up_shexp.weight"] = {{32, 40}, std::vector<float>(32 * 40, 0.5f)};
    relative.tensors[layer + "ffn_down_shexp.weight"] = {{40, 32}, std::vector<float>(40 * 32, 0.0f)};
  }
  expect_equal(base, relative, 1e-5f);
}

// Rows of q and k, and the norms, in neighbouring pairs.
TEST_F(Relatives, MaincoderIsHunyuanWithNeighbouringPairs) {
  EditableGguf base = golden("hunyuan_v1_dense-plain");
  EditableGguf relative = golden("hunyuan_v1_dense-plain");
  relative.rename("maincoder");
  constexpr std::size_t head = 8, half = head / 2;
  for (auto& [name, tensor] : relative.tensors) {
    if (name.find("attn_q") == std::string::npos && name.find("attn_k") == std::string::npos) continue;
    const std::size_t width = tensor.extent.size() == 1 ? 1 : static_cast<std::size_t>(tensor.extent[0]);
    const std::vector<float> old = tensor.values;
    for (std::size_t row = 0; row < old.size() / width; ++row) {
      const std::size_t i = row % head, to = row - i + 2 * (i % half) + i / half;
      std::copy_n(old.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                  tensor.values.begin() + static_cast<std::ptrdiff_t>(to * width));
    }
  }
  expect_equal(base, relative, 1e-4f);
}

// Attention of one position is its value: neither positions nor scales matter, and the block alone is compared.
TEST_F(Relatives, RefactAndJaisDifferFromLlamaOnlyInTheScores) {
  EditableGguf base = golden("llama-gqa");
  EditableGguf refact = golden("llama-gqa");
  refact.rename("refact");
  const std::vector<float> a = logits(base), b = logits(refact);
  ASSERT_EQ(a.size(), b.size());
  const std::size_t n_vocab = 80;
  float first = 0, later = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    (i < n_vocab ? first : later) = std::max(i < n_vocab ? first : later, difference);
  }
  EXPECT_EQ(first, 0);
  EXPECT_GT(later, 0.01f);
}

}  // namespace
