#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <llm/chat.hpp>
#include <string>
#include <vector>

#include "base/thread_clock.h"
#include "sanitized.h"

// Hostile templates end with an error that names the limit, within a second.

namespace {

using testing::AnyOf;
using testing::HasSubstr;

struct Hostile {
  const char* name;
  std::string source;
  const char* message;  // part of it
};

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::vector<Hostile> hostile() {
  const std::string lots = "{% for a in range(99999) %}{% for b in range(99999) %}";
  return {
      {"endless_loops", lots + "{% endfor %}{% endfor %}", "steps"},
      {"endless_output", lots + "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}", "steps"},
      {"doubling", "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
       "16 MiB"},
      {"doubling_lists", "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
       "more than"},
      {"repetition", "{{ 'x' * 99999999999 }}", "16 MiB"},
      {"repeated_list", "{{ [1] * 99999999999 }}", "too long"},
      {"huge_range", "{{ range(10 ** 18) | list }}", "range too big"},
      {"width", "{{ '%999999999d' % 1 }}", "16 MiB"},
      {"format_width", "{{ '{:>999999999}'.format(1) }}", "16 MiB"},
      {"precision", "{{ '%.999999999f' % 1 }}", "precision"},
      {"centered", "{{ 'x' | center(999999999) }}", "16 MiB"},
      {"indented", "{{ 'x' | indent(999999999, true) }}", "16 MiB"},
      {"power", "{{ 9 ** 99999 }}", "4300 digits"},
      {"large_integers", "{% for i in range(99999) %}{{ 7 ** 4000 // 9 ** 3000 == i }}{% endfor %}", "more than"},
      {"macro_recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too deep"},
      {"loop_recursion", "{% set l = [] %}{{ l.append(l) }}{% for x in l recursive %}{{ loop(x) }}{% endfor %}",
       "too deep"},
      {"circle", "{% set l = [] %}{{ l.append(l) }}{{ l }}", "too deep"},
      {"circle_json", "{% set l = [] %}{% set x = l.append(l) %}{{ l | tojson }}", "too deep"},
      {"nested_lists",
       "{% set n = namespace(l=[]) %}{% for i in range(50000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}",
       "too deep"},
      {"growing_replace",
       "{% set n = namespace(s='aa') %}{% for i in range(99) %}{% set n.s = n.s | replace('a', 'aa') %}{% endfor %}",
       "more than"},
      {"parentheses", "{{ " + std::string(100000, '('), "nests deeper"},
      {"brackets", "{{ " + std::string(100000, '['), "nests deeper"},
      {"signs", "{{ " + std::string(100000, '-') + "1 }}", "nests deeper"},
      {"nots", "{{ " + repeated("not ", 100000) + "1 }}", "nests deeper"},
      {"sum_chain", "{{ 1" + repeated("+1", 100000) + " }}", "nests deeper"},
      {"attribute_chain", "{{ a" + repeated(".a", 100000) + " }}", "nests deeper"},
      {"filter_chain", "{{ a" + repeated("|upper", 100000) + " }}", "nests deeper"},
      {"blocks", repeated("{% if 1 %}", 100000), "nests deeper"},
      {"else_chain", "{{ " + repeated("1 if 0 else ", 100000) + "1 }}", "nests deeper"},
  };
}

class HostileTemplate : public testing::TestWithParam<Hostile> {};

TEST_P(HostileTemplate, IsRefusedByNameWithinASecond) {
  const auto begin = llm::thread_time();
  try {
    const llm::ChatTemplate chat(GetParam().source);
    const std::string text = chat.render("[]", {});
    FAIL() << "rendered " << text.size() << " bytes";
  } catch (const llm::Error& error) {
    EXPECT_EQ(error.code(), llm::ErrorCode::usage);
    // Instrumented code is so slow that the limit of time may come first.
    const char* other = llm::test::is_sanitized ? "the template runs for more than" : GetParam().message;
    EXPECT_THAT(error.message(), AnyOf(HasSubstr(GetParam().message), HasSubstr(other)));
    EXPECT_EQ(error.message().rfind("line ", 0), 0U) << error.message();
  }
  const std::chrono::duration<double> seconds = llm::thread_time() - begin;
  EXPECT_LT(seconds.count(), 10.0);  // ten times what is promised, for sanitizers
}

INSTANTIATE_TEST_SUITE_P(Chat, HostileTemplate, testing::ValuesIn(hostile()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(ChatLimits, AnErrorSaysLineAndColumn) {
  try {
    llm::ChatTemplate("first\n  {{ nothing.more }}").render_variables("{}", "");
    FAIL();
  } catch (const llm::Error& error) {
    EXPECT_EQ(error.message(), "line 2, column 14: 'nothing' is undefined");
  }
}

TEST(ChatLimits, VariablesThatAreTooLargeAreRefused) {
  llm::ChatRenderOptions options;
  options.bos_token = std::string(std::size_t{20} << 20, 'x');
  EXPECT_THROW(llm::ChatTemplate("{{ bos_token }}").render("[]", options), llm::Error);
  const std::string messages = R"([{"role":"user","content":")" + std::string(std::size_t{20} << 20, 'x') + "\"}]";
  EXPECT_THROW(llm::ChatTemplate("{{ messages }}").render(messages, {}), llm::Error);
}

TEST(ChatLimits, ALongConversationIsRendered) {
  std::string messages = "[";
  for (int i = 0; i < 2000; ++i) {
    messages += std::string(i > 0 ? "," : "") + R"({"role":")" + (i % 2 ? "assistant" : "user") + R"(","content":")" +
                std::string(500, 'x') + "\"}";
  }
  messages += "]";
  const llm::ChatTemplate chat(
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim + '<|im_end|>\\n' }}{% endfor "
      "%}");
  EXPECT_GT(chat.render(messages, {}).size(), 1000000U);
}

}  // namespace
