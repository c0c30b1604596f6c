#ifndef CHAT_TOOL_CALLS_H
#define CHAT_TOOL_CALLS_H

#include <string>
#include <string_view>
#include <vector>

#include <llm/chat.hpp>

namespace llm::chat {

// Takes the tool calls out of an answer in the formats whose marks `source`, the template's text, contains. What is
// not a complete call stays in `content`.
void take_tool_calls(std::string_view source, std::string& content, std::vector<ToolCall>& calls);

std::string_view trimmed(std::string_view text);

}  // namespace llm::chat

#endif
