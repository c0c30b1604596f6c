#ifndef CHAT_ANSWER_H
#define CHAT_ANSWER_H

#include <string>
#include <string_view>

#include <llm/chat.hpp>

namespace llm::chat {

// How models with a template write their answers, read from the template's text.
class AnswerFormat {
 public:
  explicit AnswerFormat(std::string_view template_source);
  bool opens_reasoning(std::string_view prompt) const;
  ChatAnswer parse(std::string_view text, bool in_reasoning = false) const;

 private:
  std::string source_;
};

}  // namespace llm::chat

#endif
