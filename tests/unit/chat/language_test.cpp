#include <gtest/gtest.h>

#include <llm/chat.hpp>
#include <string>

// Corners of the template language; what is expected is what jinja2 3.1 gives as transformers configures it
// (tools/compare_jinja2.py compares many more).

namespace {

struct Rendering {
  const char* source;
  const char* expected;  // null: an error
};

constexpr Rendering renderings[] = {
    // The else of a loop runs unless a round came to its end.
    {"{% for x in [1, 2] %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% else %}none{% endfor %}", "2"},
    {"{% for x in [1, 2] %}{{ x }}{% continue %}{% else %}none{% endfor %}", "12none"},
    {"{% for x in [1, 2] %}{{ x }}{% break %}{% else %}none{% endfor %}", "1none"},
    {"{% for x in [1, 2] %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% else %}none{% endfor %}", "12"},
    {"{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "none"},
    // A word behind a test is its argument.
    {"{{ 'a' if x is defined else 'b' }}", "b"},
    {"{{ x is string if x else 'b' }}", nullptr},
    // Only sequences have slices.
    {"{{ n[1:] }}", nullptr},
    {"{{ d[:2] }}", nullptr},
    {"{{ 5[1:] }}", ""},
    {"{{ range(9)[2:8:3] | list }}", "[2, 5]"},
    // Digits of every script are numbers.
    {"{{ '٣' | int + 1 }} {{ '４２' | int }} {{ '𝟗𝟖.𝟓' | float }} {{ '１２３' | int(base=8) }}", "4 42 98.5 83"},
    {"{{ '\u00a07\u3000' | int }}", "7"},
    // What Python cannot hash.
    {"{{ [] is filter }}", nullptr},
    {"{{ d.items() in d }}", nullptr},
    {"{{ d.values() in d }}", "False"},
    {"{{ '' * 10 ** 20 }}", nullptr},
    {"{{ 'hello'.translate(''.maketrans('el', 'ip', 'o')) }} {{ 'ab'.translate({97: 'xy', 98: none}) }}", "hipp xy"},
    {"{{ ''.maketrans({'a': 1, 98: 'c'}) }} {{ {}.fromkeys('ab', 0) }}", "{97: 1, 98: 'c'} {'a': 0, 'b': 0}"},
    {"{{ range(5).count(3) }}{{ range(5).index(3) }}{{ n.conjugate() }}{{ true.conjugate() }}", "1351"},
    {"{{ n.as_integer_ratio() }}", "(5, 1)"},
};

class Language : public testing::TestWithParam<Rendering> {};

TEST_P(Language, IsThatOfJinja2) {
  const auto& [source, expected] = GetParam();
  const auto render = [&] { return llm::ChatTemplate(source).render_variables(R"({"n": 5, "d": {"a": 1}})", ""); };
  if (expected == nullptr) {
    EXPECT_THROW(render(), llm::Error) << source;
  } else {
    EXPECT_EQ(render(), expected) << source;
  }
}

INSTANTIATE_TEST_SUITE_P(Chat, Language, testing::ValuesIn(renderings));

}  // namespace
