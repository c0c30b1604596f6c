#include "conversation.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <llm/error.hpp>

#include "options.h"
#include "report.h"

namespace llmgen {

using llm::Error;
using llm::ErrorCode;
using nlohmann::ordered_json;

namespace {

bool has_role(const ordered_json& message, const char* role) {
  return message["role"] == role;
}

}  // namespace

bool Conversation::has_system() const {
  return !messages_.empty() && has_role(messages_.front(), "system");
}

bool Conversation::empty() const {
  return messages_.size() == (has_system() ? 1u : 0u);
}

void Conversation::set_system(const std::string& text) {
  if (has_system()) messages_.erase(0);
  if (!text.empty()) messages_.insert(messages_.begin(), ordered_json({{"role", "system"}, {"content", text}}));
}

void Conversation::add(const std::string& role, const std::string& content) {
  messages_.push_back({{"role", role}, {"content", content}});
}

void Conversation::clear() {
  while (messages_.size() > (has_system() ? 1u : 0u)) messages_.erase(messages_.size() - 1);
}

std::string Conversation::take_last_user() {
  for (std::size_t i = messages_.size(); i-- > 0;) {
    if (!has_role(messages_[i], "user")) continue;
    std::string text = messages_[i]["content"].is_string() ? messages_[i]["content"].get<std::string>()
                                                           : dump(messages_[i]["content"]);
    while (messages_.size() > i) messages_.erase(messages_.size() - 1);
    return text;
  }
  return {};
}

bool Conversation::drop_oldest_turn() {
  const std::size_t first = has_system() ? 1 : 0;
  std::size_t next = first + 1;
  while (next < messages_.size() && !has_role(messages_[next], "user")) ++next;
  if (next >= messages_.size()) return false;
  for (std::size_t i = first; i < next; ++i) messages_.erase(first);
  return true;
}

void Conversation::save(const std::string& path) const {
  std::ofstream out(path, std::ios::binary);
  out << dump({{"messages", messages_}}) << '\n';
  out.close();
  if (!out) throw Error(ErrorCode::io, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

void Conversation::load(const std::string& path) {
  const ordered_json saved = ordered_json::parse(read_text(path), nullptr, false);
  const bool valid = saved.is_object() && saved.contains("messages") && saved["messages"].is_array();
  if (!valid)
    throw Error(ErrorCode::io, fmt::format("{} is no saved conversation: expected {{\"messages\": [...]}}", path));
  for (const ordered_json& message : saved["messages"]) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string() ||
        !message.contains("content")) {
      throw Error(ErrorCode::io, fmt::format("{}: a message lacks its role or content", path));
    }
  }
  messages_ = saved["messages"];
}

}  // namespace llmgen
