#include "chat/answer.h"

#include <algorithm>

#include "chat/text_search.h"
#include "chat/tool_calls.h"

namespace llm::chat {

namespace {

struct Section {
  std::string_view open, close;
};

constexpr Section sections[] = {
    {"<think>", "</think>"},
    {"<thinking>", "</thinking>"},
    {"<seed:think>", "</seed:think>"},
    {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<|channel>thought", "<channel|>"},
    {"<reasoning>", "</reasoning>"},
};

std::string unwrapped(std::string_view text, std::string_view open, std::string_view close) {
  text = trimmed(text);
  if (text.substr(0, open.size()) == open) text.remove_prefix(open.size());
  const std::size_t end = text.rfind(close);
  if (end != npos) text = text.substr(0, end);
  return std::string(trimmed(text));
}

void append_part(std::string& all, std::string_view part) {
  part = trimmed(part);
  if (part.empty()) return;
  if (!all.empty()) all += '\n';
  all += part;
}

// Messages of the channels analysis, commentary and final; a recipient makes a message a tool call.
ChatAnswer parse_channels(std::string_view text) {
  ChatAnswer answer;
  constexpr std::string_view message = "<|message|>";
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t header_end = text.find(message, at);
    if (header_end == npos) break;
    const std::string_view header = text.substr(at, header_end - at);
    const std::size_t begin = header_end + message.size();
    std::size_t end = text.size(), next = text.size();
    for (const std::string_view mark : {"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"}) {
      const std::size_t found = text.find(mark, begin);
      if (found >= end) continue;
      end = found;
      const bool opens = mark == "<|start|>" || mark == "<|channel|>";
      next = opens ? found : found + mark.size();
    }
    const std::string_view body = text.substr(begin, end - begin);
    const std::size_t to = header.find("to=");
    if (to != npos) {
      std::string_view name = header.substr(to + 3);
      name = name.substr(0, name.find_first_of(" <\n"));
      if (name.substr(0, 10) == "functions.") name.remove_prefix(10);
      answer.tool_calls.push_back({"", std::string(name), std::string(trimmed(body))});
    } else if (header.find("analysis") != npos) {
      append_part(answer.reasoning, body);
    } else {
      if (!answer.content.empty()) answer.content += '\n';
      answer.content += body;
    }
    at = next;
  }
  if (answer.content.empty() && answer.reasoning.empty() && answer.tool_calls.empty()) answer.content = text;
  return answer;
}

}  // namespace

AnswerFormat::AnswerFormat(std::string_view template_source) : source_(template_source) {}

bool AnswerFormat::opens_reasoning(std::string_view prompt) const {
  for (const auto& [open, close] : sections) {
    if (source_.find(close) == std::string::npos) continue;
    const std::size_t opened = prompt.rfind(open);
    if (opened == npos || prompt.find(close, opened) != npos) continue;
    if (trimmed(prompt.substr(opened + open.size())).empty()) return true;
  }
  return false;
}

ChatAnswer AnswerFormat::parse(std::string_view text, bool in_reasoning) const {
  if (source_.find("<|channel|>") != std::string::npos && text.find("<|message|>") != npos) return parse_channels(text);
  ChatAnswer answer;
  answer.content = text;
  const bool ends = std::any_of(std::begin(sections), std::end(sections), [&](const Section& section) {
    return source_.find(section.close) != std::string::npos && text.find(section.close) != npos;
  });
  if (in_reasoning && !ends) {
    answer.reasoning = trimmed(text);
    answer.content.clear();
    return answer;
  }
  for (const auto& [open, close] : sections) {
    if (source_.find(close) == std::string::npos && source_.find(open) == std::string::npos) continue;
    const std::size_t begin = text.find(open), end = text.find(close);
    // A section that the prompt opened has only its end here; a section that was cut off only its begin.
    const bool opened_before = end != npos && (begin == npos || begin > end);
    const bool leads = begin != npos && trimmed(text.substr(0, begin)).empty();
    if (!opened_before && !leads) continue;
    const std::size_t inside = opened_before ? 0 : begin + open.size();
    answer.reasoning = trimmed(text.substr(inside, end == npos ? npos : end - inside));
    std::string_view rest = end == npos ? std::string_view() : text.substr(end + close.size());
    while (!rest.empty() && (rest[0] == '\n' || rest[0] == '\r' || rest[0] == ' ')) rest.remove_prefix(1);
    answer.content = rest;
    break;
  }
  constexpr std::string_view final_mark = "[BEGIN FINAL RESPONSE]";
  const std::size_t final_begin = answer.content.find(final_mark);
  if (final_begin != npos && source_.find(final_mark) != std::string::npos) {
    append_part(answer.reasoning, std::string_view(answer.content).substr(0, final_begin));
    answer.content =
        unwrapped(std::string_view(answer.content).substr(final_begin), final_mark, "[END FINAL RESPONSE]");
  }
  if (answer.content.find("<response>") != npos && source_.find("<response>") != std::string::npos) {
    answer.content = unwrapped(answer.content, "<response>", "</response>");
  }
  take_tool_calls(source_, answer.content, answer.tool_calls);
  return answer;
}

}  // namespace llm::chat
