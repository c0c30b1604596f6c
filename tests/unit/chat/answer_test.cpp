#include <gtest/gtest.h>

#include <llm/chat.hpp>
#include <string>

namespace {

llm::ChatAnswer parsed(const std::string& source, const std::string& text) {
  return llm::ChatTemplate("{% raw %}" + source + "{% endraw %}").parse_answer(text);
}

TEST(Answer, PlainTextStaysAsItIs) {
  const auto answer = parsed("hello", " a <think>b ");
  EXPECT_EQ(answer.content, " a <think>b ");
  EXPECT_TRUE(answer.reasoning.empty());
  EXPECT_TRUE(answer.tool_calls.empty());
}

TEST(Answer, ReasoningIsSplitOff) {
  for (const char* text : {"<think>\nwhy\n</think>\n\nbecause", "why\n</think>\n\nbecause"}) {
    const auto answer = parsed("<think></think>", text);
    EXPECT_EQ(answer.reasoning, "why");
    EXPECT_EQ(answer.content, "because");
  }
  const auto cut = parsed("<think></think>", "<think>\nwhy");
  EXPECT_EQ(cut.reasoning, "why");
  EXPECT_EQ(cut.content, "");
}

TEST(Answer, APromptMayOpenTheReasoning) {
  const llm::ChatTemplate chat("{{ '<think>' }}{{ '</think>' }}");
  EXPECT_TRUE(chat.opens_reasoning("<|assistant|><think>\n"));
  EXPECT_FALSE(chat.opens_reasoning("<|assistant|><think>\n\n</think>\n"));
  EXPECT_FALSE(chat.opens_reasoning("<|assistant|>"));
}

struct Format {
  const char* name;
  const char* source;
  const char* text;
};

class CallFormat : public testing::TestWithParam<Format> {};

TEST_P(CallFormat, GivesTheCallAndTheTextBeforeIt) {
  const auto answer = parsed(GetParam().source, GetParam().text);
  ASSERT_EQ(answer.tool_calls.size(), 1U);
  EXPECT_EQ(answer.tool_calls[0].name, "get_weather");
  EXPECT_EQ(answer.tool_calls[0].arguments_json, R"({"city":"Paris","n":2})");
  EXPECT_EQ(answer.content, "See.");
}

INSTANTIATE_TEST_SUITE_P(
    Chat, CallFormat,
    testing::Values(
        Format{"hermes", "<tool_call>",
               "See.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
               "\"Paris\", \"n\": 2}}\n</tool_call>"},
        Format{"mistral_list", "[TOOL_CALLS]",
               "See.[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\", \"n\": 2}}]"},
        Format{"mistral_named", "[TOOL_CALLS][ARGS]",
               "See.[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Paris\", \"n\": 2}"},
        Format{"xml_parameters", "<tool_call><function=",
               "See.<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=n>\n2\n"
               "</parameter>\n</function>\n</tool_call>"},
        Format{
            "key_values", "<tool_call><arg_key>",
            "See.<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>n</arg_key>\n"
            "<arg_value>2</arg_value>\n</tool_call>"},
        Format{"python_tag", "<|python_tag|> tool",
               "See.<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\", \"n\": 2}}"},
        Format{"sections", "<|tool_call_begin|>",
               "See.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
               "{\"city\": \"Paris\", \"n\": 2}<|tool_call_end|><|tool_calls_section_end|>"},
        Format{"invoke", "<minimax:tool_call>",
               "See.<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Paris</parameter>\n"
               "<parameter name=\"n\">2</parameter>\n</invoke>\n</minimax:tool_call>"},
        Format{"python_calls", "<|tool_list_start|>",
               "See.<|tool_call_start|>[get_weather(city='Paris', n=2)]<|tool_call_end|>"},
        Format{"python_tag_call", "<|python_tag|> tool", "See.<|python_tag|>get_weather(city=\"Paris\", n = 2)"},
        Format{"role_separators", "function call <|role_sep|>",
               "See.<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": "
               "{\"city\": \"Paris\", \"n\": 2}}<|message_sep|>"},
        Format{"granite_list", "<|tool_call|>",
               "See.<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\", \"n\": 2}}]"},
        Format{"braces",
               "<|tool_call>call:", "See.<|tool_call>call:get_weather{city:<|\"|>Paris<|\"|>,n:2}<tool_call|>"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Answer, ChannelsAreToldApart) {
  const auto answer = parsed("<|channel|>",
                             "<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>commentary "
                             "to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>");
  EXPECT_EQ(answer.reasoning, "why");
  ASSERT_EQ(answer.tool_calls.size(), 1U);
  EXPECT_EQ(answer.tool_calls[0].name, "f");
  EXPECT_EQ(answer.tool_calls[0].arguments_json, "{\"a\":1}");
  EXPECT_EQ(parsed("<|channel|>", "<|channel|>final<|message|>hi<|return|>").content, "hi");
}

TEST(Answer, WhatIsNoCallStaysText) {
  const std::string text = "<tool_call>\n{\"name\": 5}\n</tool_call>";
  const auto answer = parsed("<tool_call>", text);
  EXPECT_TRUE(answer.tool_calls.empty());
  EXPECT_EQ(answer.content, text);
  const std::string deep = "<tool_call>" + std::string(100000, '[') + "</tool_call>";
  EXPECT_EQ(parsed("<tool_call>", deep).content, deep);
}

}  // namespace
