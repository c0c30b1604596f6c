#ifndef LLMGEN_CONVERSATION_H
#define LLMGEN_CONVERSATION_H

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace llmgen {

// The messages of a chat. Saved as {"messages": [...]} in one line, which `llmgen batch` reads too.
class Conversation {
 public:
  void set_system(const std::string& text);  // empty: none
  void add(const std::string& role, const std::string& content);
  void add(nlohmann::ordered_json message) { messages_.push_back(std::move(message)); }
  void clear();  // all but the system message

  // The last user message and everything after it go; gives its text, empty if there is none.
  std::string take_last_user();
  // The oldest question with its answer goes, the system message stays. False: there is nothing that could go.
  bool drop_oldest_turn();
  bool empty() const;
  std::size_t n_messages() const { return messages_.size(); }

  const nlohmann::ordered_json& messages() const { return messages_; }
  void save(const std::string& path) const;  // throws Error(io)
  void load(const std::string& path);        // throws Error(io); unchanged then

 private:
  bool has_system() const;
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
};

}  // namespace llmgen

#endif
