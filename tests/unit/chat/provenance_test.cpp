#include <gtest/gtest.h>

#include <llm/chat.hpp>
#include <string>

// Which bytes of a rendering come from the template: written as text, those from elsewhere between < and >.

namespace {

std::string marked(const std::string& source, const std::string& content = "a b") {
  llm::ChatRenderOptions options;
  options.bos_token = "[BOS]";
  const std::string messages = R"([{"role":"user","content":")" + content + "\"}]";
  std::string text;
  for (const llm::ChatSegment& segment : llm::ChatTemplate(source).render_segments(messages, options)) {
    text += segment.from_template ? segment.text : "<" + segment.text + ">";
  }
  return text;
}

TEST(Provenance, LiteralsAndSpecialTokensAreOfTheTemplate) {
  EXPECT_EQ(marked("x{{ bos_token }}{{ 'y' }}{{ 1 + 1 }}"), "x[BOS]y2");
}

TEST(Provenance, MessagesAreNot) {
  EXPECT_EQ(marked("x{{ messages[0].content }}y"), "x<a b>y");
}

TEST(Provenance, IsKeptThroughOperators) {
  EXPECT_EQ(marked("{{ '[' + messages[0]['role'] ~ ']' }}"), "[<user>]");
  EXPECT_EQ(marked("{{ ('[' + messages[0].content + ']')[0:3] }}"), "[<a >");
  EXPECT_EQ(marked("{{ ('-' + messages[0].content) * 2 }}"), "-<a b>-<a b>");
  EXPECT_EQ(marked("{{ '%s|%s' % ('x', messages[0].content) }}"), "x|<a b>");
}

TEST(Provenance, IsKeptThroughFiltersAndMethods) {
  EXPECT_EQ(marked("{{ (' ' + messages[0].content + '! ') | trim }}"), "<a b>!");
  EXPECT_EQ(marked("{{ messages[0].content | replace(' ', '-') | upper }}"), "<A>-<B>");
  EXPECT_EQ(marked("{{ messages[0].content.split(' ') | join(',') }}"), "<a>,<b>");
  EXPECT_EQ(marked("{{ ['x', messages[0].content] | tojson }}"), "[\"x\", <\"a b\">]");
  EXPECT_EQ(marked("{{ messages[0] | tojson }}"), "<{\"role\": \"user\", \"content\": \"a b\"}>");
  EXPECT_EQ(marked("{{ '{}:{}'.format('k', messages[0].content) }}"), "k:<a b>");
}

TEST(Provenance, IsKeptThroughCapturedBlocksAndMacros) {
  EXPECT_EQ(marked("{% set x %}[{{ messages[0].content }}]{% endset %}{{ x }}"), "[<a b>]");
  EXPECT_EQ(marked("{% macro m(t) %}({{ t }}){% endmacro %}{{ m(messages[0].content) }}"), "(<a b>)");
}

TEST(Provenance, NumbersOfMessagesAreNotOfTheTemplate) {
  EXPECT_EQ(marked("{{ messages[0].content | length }}"), "3");
  EXPECT_EQ(marked("{{ messages[0].content | int }}", "12"), "<12>");
}

}  // namespace
