#ifndef TOKENIZER_JSON_READER_H
#define TOKENIZER_JSON_READER_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace llm::tokenizer::hf {

// Walks through JSON without building it, for arrays and objects of hundreds of thousands of items. Everything returns
// false where the text is not what was asked for; the reader is of no use after that. Values that are skipped are not
// checked beyond their brackets and strings.
class JsonReader {
 public:
  // `text` is valid UTF-8 and outlives the reader.
  explicit JsonReader(std::string_view text) : text_(text) {}

  // The first character of the next value; 0 at the end.
  char peek();
  bool at_end() { return peek() == 0 && at_ == text_.size(); }

  // Calls member(std::string_view key) at every value of an object; it reads the value and returns whether it could.
  template <typename Member>
  bool object(Member&& member) {
    return items('{', '}', [&] {
      std::string_view key;
      return string(key) && take(':') && member(key);
    });
  }
  // Calls item() at every item of an array.
  template <typename Item>
  bool array(Item&& item) {
    return items('[', ']', item);
  }
  // The text lives as long as the reader and what it reads.
  bool string(std::string_view& out);
  bool integer(std::int64_t& out);
  bool number(double& out);
  // Any value, as it is written.
  bool skip(std::string_view& out);

 private:
  bool take(char c);
  template <typename Item>
  bool items(char open, char close, Item&& item) {
    if (!take(open)) return false;
    if (take(close)) return true;
    do {
      if (!item()) return false;
    } while (take(','));
    return take(close);
  }
  bool unescape(std::string_view raw, std::string& out) const;
  std::string_view number_text(bool& is_integer);

  std::string_view text_;
  std::size_t at_ = 0;
  std::deque<std::string> unescaped_;
};

}  // namespace llm::tokenizer::hf

#endif
