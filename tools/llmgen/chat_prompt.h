#ifndef LLMGEN_CHAT_PROMPT_H
#define LLMGEN_CHAT_PROMPT_H

#include <CLI/CLI.hpp>
#include <llm/llm.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmgen {

// How a conversation becomes a prompt and an answer is shown.
struct ChatFlags {
  bool chat = false;
  std::string system;
  std::string template_file;
  std::string template_name;
  std::string tools_file;
  std::string tools_json;  // definitions as text; what --tools gives when empty
  std::string variables;
  std::string reasoning = "show";
};
void add_chat_flags(CLI::App& app, ChatFlags& flags);
// Options that contradict each other: Error(usage).
void check_chat_flags(const ChatFlags& flags);
inline bool wants_chat(const ChatFlags& flags) {
  return flags.chat || !flags.system.empty() || !flags.tools_file.empty();
}

// The template to use: --template, or the model's own. Throws Error(usage) if there is none.
llm::ChatTemplate chat_template_of(const llm::Model& model, const ChatFlags& flags);

// Ids of a conversation. Control tokens come from the template alone; what messages say is plain text.
std::vector<llm::TokenId> render_ids(const llm::Model& model, const llm::ChatTemplate& chat_template,
                                     const nlohmann::ordered_json& messages, const ChatFlags& flags,
                                     bool add_generation_prompt = true);
// The one-shot form: an optional system message and one user message.
std::vector<llm::TokenId> chat_prompt(const llm::Model& model, const ChatFlags& flags, const std::string& user_text);

// Whether a prompt ends inside a reasoning section, so that the answer begins in it.
bool opens_reasoning(const llm::Model& model, const llm::ChatTemplate& chat_template,
                     const std::vector<llm::TokenId>& prompt);
// An answer taken apart, control tokens included where a format is made of them.
llm::ChatAnswer parse_answer(const llm::Model& model, const llm::ChatTemplate& chat_template,
                             const std::vector<llm::TokenId>& prompt, const llm::Result& result);
// "text", "reasoning" and "tool_calls" of an answer, as the template's format has them.
void add_answer_parts(nlohmann::ordered_json& object, const llm::Model& model, const ChatFlags& flags,
                      const std::vector<llm::TokenId>& prompt, const llm::Result& result);
nlohmann::ordered_json tool_calls_json(const llm::ChatAnswer& answer);

// Shows an answer as it comes, without its reasoning section if --reasoning says so.
class AnswerStream {
 public:
  // The request is asked for control tokens where the sections are told by them.
  AnswerStream(const llm::Model& model, const ChatFlags& flags, llm::Request& request);
  std::string push(std::string_view text);
  std::string finish();

 private:
  bool hide_ = false, in_reasoning_ = false;
  std::optional<llm::ChatTemplate> template_;
  std::string text_;
  std::size_t shown_ = 0;
};

}  // namespace llmgen

#endif
