#include <gtest/gtest.h>

#include <algorithm>
#include <llm/llm.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "editable_gguf.h"
#include "temporary_folder.h"

namespace llm {
namespace {

std::string folder() {
  return LLM_TEST_DATA "/golden/llama-gqa";
}
std::string gguf() {
  return folder() + "/model.gguf";
}

using Message = std::pair<LogLevel, std::string>;

class LoadedModel : public testing::Test {
 protected:
  // A model with a key and a tensor that no one asks for.
  std::string path_with_extras() const {
    EditableGguf file(LLM_TEST_DATA "/gguf/valid.gguf");
    file.header.set_string("llama.note", "nothing reads this");
    file.tensors["somebody.weight"] = {{32}, std::vector<float>(32, 1.0f)};
    file.write(folder_.file("extras.gguf"));
    return folder_.file("extras.gguf");
  }

  test::TemporaryFolder folder_;
};

TEST_F(LoadedModel, TellsItsLogWhatNobodyUsed) {
  std::vector<Message> messages;
  LoadOptions options;
  options.log = [&](LogLevel level, std::string_view text) { messages.emplace_back(level, text); };
  const Model model = Model::load(path_with_extras(), options);
  const Message key{LogLevel::debug, "unused key llama.note"};
  const Message tensor{LogLevel::warning, "unused tensor somebody.weight"};
  EXPECT_EQ(std::count(messages.begin(), messages.end(), key), 1);
  EXPECT_EQ(std::count(messages.begin(), messages.end(), tensor), 1);
  for (const auto& [level, text] : messages) EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

TEST_F(LoadedModel, PrintsNothing) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  {
    const Model model = Model::load(path_with_extras());
    Session session(model);
    Request request;
    request.prompt = {1, 4, 9};
    request.max_tokens = 4;
    session.generate(request);
    EXPECT_THROW(Model::load(folder_.file("no such file")), Error);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(LoadedModel, ReportsProgressAndStopsLoadingWhenToldTo) {
  std::vector<float> fractions;
  LoadOptions options;
  options.progress = [&](float fraction) { return fractions.push_back(fraction), true; };
  Model::load(folder(), options);
  ASSERT_FALSE(fractions.empty());
  EXPECT_EQ(fractions.front(), 0.0f);
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_EQ(fractions.back(), 1.0f);

  options.progress = [](float fraction) { return fraction < 0.5f; };
  try {
    Model::load(folder(), options);
    FAIL() << "loading went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled) << error.message();
  }
}

TEST(Model, HeaderSaysWhatTheModelSays) {
  const Model model = Model::load(folder());
  const ModelInfo info = inspect(gguf());
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_EQ(info.container, "GGUF");
  EXPECT_EQ(info.n_vocab, 80);
  EXPECT_EQ(info.n_params, model.info().n_params);
  EXPECT_EQ(info.n_layer, model.info().n_layer);
  EXPECT_EQ(info.tokenizer, "");
  EXPECT_FALSE(info.types.empty());
  EXPECT_EQ(inspect(folder()).container, "Hugging Face");
  try {
    inspect("/no/such/file");
    FAIL() << "read it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
  }
}

TEST(Model, PlanGrowsWithTheContextAndTheType) {
  const auto plan = [](std::int64_t n, KvType type, int n_sequences) {
    return plan_memory(gguf(), n, type, n_sequences);
  };
  const MemoryPlan one = plan(1 << 14, KvType::f16, 1);
  EXPECT_EQ(plan(1 << 15, KvType::f16, 1).state, 2 * one.state);
  EXPECT_EQ(plan(1 << 14, KvType::f32, 1).state, 2 * one.state);
  EXPECT_EQ(plan(1 << 14, KvType::f16, 3).state, 3 * one.state);
  EXPECT_EQ(one.total, one.weights + one.state + one.activations);
  EXPECT_GT(one.available, 0u);
}

}  // namespace
}  // namespace llm
