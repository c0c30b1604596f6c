#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/budget.h"

namespace llm::chat {

// Bytes up to `end` (from the end of the run before) that came from the template or from foreign data: messages,
// tool definitions, variables.
struct Run {
  std::size_t end;
  bool foreign;
};

// An immutable UTF-8 string that knows where each byte came from. Neighbouring runs differ.
class Text {
 public:
  Text(std::string bytes, bool foreign);
  Text(std::string bytes, std::vector<Run> runs, Budget* budget, std::size_t charged);
  ~Text();
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }
  std::size_t length() const { return length_; }  // code points
  bool ascii() const { return length_ == bytes_.size(); }
  bool any_foreign() const;
  // Byte offset of a code point; length() gives the size.
  std::size_t offset(std::size_t code_point) const;

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  std::size_t length_ = 0;
  Budget* budget_ = nullptr;
  std::size_t charged_ = 0;
};

using TextPtr = std::shared_ptr<const Text>;

// Puts a Text together within the limits of a budget.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(&budget) {}
  ~TextBuilder() { budget_->release(charged_); }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  void append(std::string_view bytes, bool foreign);
  void append(const Text& text) { append(text, 0, text.bytes().size()); }
  void append(const Text& text, std::size_t begin, std::size_t end);  // byte offsets
  void append(char32_t code_point, bool foreign);
  void repeat(std::string_view bytes, std::size_t times, bool foreign);
  std::size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  TextPtr finish();

 private:
  void grow(std::size_t n);

  Budget* budget_;
  std::string bytes_;
  std::vector<Run> runs_;
  std::size_t charged_ = 0;
};

// Walks the code points of a text with their origin.
class TextReader {
 public:
  explicit TextReader(const Text& text) : text_(&text) {}
  bool done() const { return at_ >= text_->bytes().size(); }
  std::size_t offset() const { return at_; }
  bool foreign() const;  // of the next code point
  char32_t next();

 private:
  const Text* text_;
  std::size_t at_ = 0;
  mutable std::size_t run_ = 0;
};

TextPtr slice(Budget& budget, const TextPtr& text, std::size_t begin, std::size_t end);  // byte offsets

}  // namespace llm::chat

#endif
