#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <llm/chat.hpp>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

// The tool calls of an assistant message, written by a template, are read back from the text.

namespace {

using nlohmann::ordered_json;

std::string read(const std::string& name) {
  std::ifstream file(LLM_TEST_DATA "/chat/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, GivesTheCallsOfTheMessage) {
  const auto conversation = ordered_json::parse(read("conversations.json"))["tool-two-calls"];
  auto messages = conversation["messages"];
  while (!messages.back().contains("tool_calls")) messages.erase(messages.size() - 1);
  const auto calls = messages.back()["tool_calls"];
  llm::ChatRenderOptions options;
  options.tools_json = conversation["tools"].dump();
  options.now = "2026-07-14T09:05:03";
  options.bos_token = "<s>";
  options.eos_token = "</s>";
  const llm::ChatTemplate chat(read("templates/" + GetParam() + ".jinja"));
  options.add_generation_prompt = false;
  const std::string whole = chat.render(messages.dump(), options);
  const std::size_t begin = whole.find("Let me see.");
  ASSERT_NE(begin, std::string::npos);
  std::string text = whole.substr(begin);
  for (const std::string end :
       {"<|im_end|>", "<|end_of_text|>", "<seed:eos>", "</s>", "<|end|>", "<|role_end|>", "<|eom_id|>"}) {
    text = text.substr(0, text.rfind(end));
  }
  const llm::ChatAnswer answer = chat.parse_answer(text);
  EXPECT_EQ(answer.content, "Let me see.");
  ASSERT_EQ(answer.tool_calls.size(), calls.size()) << text;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(answer.tool_calls[i].name, calls[i]["function"]["name"].get<std::string>());
    EXPECT_EQ(ordered_json::parse(answer.tool_calls[i].arguments_json), calls[i]["function"]["arguments"]);
  }
}

// What the message adds to the conversation's text, without the beginning and the end of its turn.
std::string written_turn(const std::string& before, const std::string& whole) {
  const auto [same, rest] = std::mismatch(before.begin(), before.end(), whole.begin(), whole.end());
  std::string text(rest, whole.end());
  const std::string header = "<|start_header_id|>assistant<|end_header_id|>\n\n";
  if (text.starts_with(header)) text.erase(0, header.size());
  for (const std::string end :
       {"<|im_end|>", "<|end_of_text|>", "<seed:eos>", "</s>", "<|end|>", "<|role_end|>", "<|eom_id|>", "<|eot_id|>",
        "<|return|>", "<|call|>", "<end_of_turn>", "<|END_OF_TURN_TOKEN|>",
        "<ï½"
        "endâofâsentenceï½>",
        "<|endoftext|>"}) {
    const std::size_t at = text.rfind(end);
    if (at != std::string::npos && at + end.size() + 3 >= text.size()) text.erase(at);
  }
  return text;
}

// Every template of the references that writes the names of all calls of a message, one or two of them.
TEST(RoundTripOfEveryTemplate, GivesTheCallsThatItWrites) {
  const auto conversations = nlohmann::json::parse(read("conversations.json"));
  int n_templates = 0;
  for (const auto& file : std::filesystem::directory_iterator(LLM_TEST_DATA "/chat/templates")) {
    const std::string name = file.path().filename().string();
    const llm::ChatTemplate chat(read("templates/" + name));
    int n_conversations = 0;
    for (const char* title : {"tool-round", "tool-two-calls"}) {
      SCOPED_TRACE(name + " " + title);
      auto messages = conversations[title]["messages"];
      while (!messages.back().contains("tool_calls")) messages.erase(messages.size() - 1);
      const auto calls = messages.back()["tool_calls"];
      auto before = messages;
      before.erase(before.size() - 1);
      llm::ChatRenderOptions options;
      options.tools_json = conversations[title]["tools"].dump();
      options.now = "2026-07-14T09:05:03";
      options.bos_token = "<s>";
      options.eos_token = "</s>";
      options.add_generation_prompt = false;
      std::string text;
      try {
        text = written_turn(chat.render(before.dump(), options), chat.render(messages.dump(), options));
      } catch (const llm::Error&) {
        continue;  // the template takes no such conversation
      }
      const bool writes_all = std::all_of(calls.begin(), calls.end(), [&](const auto& call) {
        return text.find(call["function"]["name"].template get<std::string>()) != std::string::npos;
      });
      if (!writes_all) continue;
      ++n_conversations;
      const llm::ChatAnswer answer = chat.parse_answer(text);
      ASSERT_EQ(answer.tool_calls.size(), calls.size()) << text;
      for (std::size_t i = 0; i < calls.size(); ++i) {
        EXPECT_EQ(answer.tool_calls[i].name, calls[i]["function"]["name"].get<std::string>());
        EXPECT_EQ(nlohmann::json::parse(answer.tool_calls[i].arguments_json), calls[i]["function"]["arguments"]);
      }
    }
    n_templates += n_conversations > 0 ? 1 : 0;
  }
  EXPECT_GE(n_templates, 30);
}

INSTANTIATE_TEST_SUITE_P(Chat, RoundTrip,
                         testing::Values("Apriel-1.6-15b-Thinker-fixed", "Bielik-11B-v3.0-Instruct",
                                         "ByteDance-Seed-OSS", "GLM-4.6", "Kimi-K2-Instruct", "MiMo-VL", "Qwen-QwQ-32B",
                                         "Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "ibm-granite-granite-4.0",
                                         "inclusionai-ling-3.0-flash", "meetkai-functionary-medium-v3.1",
                                         "moonshotai-Kimi-K2", "unsloth-mistral-Devstral-Small-2507"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
