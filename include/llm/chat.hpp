#ifndef LLM_CHAT_HPP
#define LLM_CHAT_HPP

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <llm/error.hpp>
#include <llm/export.hpp>

namespace llm {
inline namespace v1 {

/// A piece of rendered text. Text that came from a message, a tool definition or a variable of the caller is never
/// taken for a control token; text of the template itself may be.
struct ChatSegment {
  std::string text;
  bool from_template = true;
};

struct ChatRenderOptions {
  std::string tools_json;      ///< JSON array, empty: none
  std::string variables_json;  ///< JSON object of further variables, empty: none
  std::string bos_token, eos_token;
  bool add_generation_prompt = true;
  std::string now;  ///< ISO 8601 time that strftime_now shows; empty: the clock
};

struct ToolCall {
  std::string id, name;
  std::string arguments_json;
};

/// An answer taken apart.
struct ChatAnswer {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
};

/// A model's chat template, run by an interpreter of the Jinja language with limits on steps, depth, output and time.
/// Immutable, shared between threads.
class LLM_API ChatTemplate {
 public:
  /// Throws Error(usage) with line and column.
  explicit ChatTemplate(std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// `messages_json`: JSON array of {"role", "content", ...}. Throws Error(usage) with line and column, or with the
  /// template's own message (raise_exception).
  std::string render(std::string_view messages_json, const ChatRenderOptions& options) const;
  std::vector<ChatSegment> render_segments(std::string_view messages_json, const ChatRenderOptions& options) const;
  /// Language test and `llmgen render`: the template with just these variables. As in transformers lists and dicts may
  /// not be changed in place, which the other functions allow.
  std::string render_variables(std::string_view variables_json, std::string_view now) const;

  /// Whether the text rendered for an answer ends inside an open reasoning section, e.g. "<think>\n".
  bool opens_reasoning(std::string_view prompt_text) const;
  /// Splits an answer of a model with this template into reasoning, content and tool calls. The text must show control
  /// tokens, since some formats are made of them. in_reasoning: the prompt ended inside an open section.
  ChatAnswer parse_answer(std::string_view text, bool in_reasoning = false) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace llm

#endif
