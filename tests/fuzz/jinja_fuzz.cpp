#include <cstddef>
#include <cstdint>
#include <llm/chat.hpp>
#include <string_view>

// A template from anywhere, run over a small conversation: an answer or an Error, within the limits.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view messages =
      R"([{"role":"system","content":"s"},{"role":"user","content":"h\u00e9llo <|x|>"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",)"
      R"("function":{"name":"f","arguments":{"a":[1,2.5,"x"]}}}]}])";
  try {
    const llm::ChatTemplate chat(source);
    llm::ChatRenderOptions options;
    options.now = "2026-07-14T09:05:03";
    options.bos_token = "<s>";
    options.tools_json = R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])";
    for (const llm::ChatSegment& segment : chat.render_segments(messages, options)) chat.parse_answer(segment.text);
  } catch (const llm::Error&) {
    return 0;
  }
  return 0;
}
