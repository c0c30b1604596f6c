#ifndef SAMPLING_STOP_STRINGS_H
#define SAMPLING_STOP_STRINGS_H

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llm::sampling {

// Cuts a stream of text before the first stop string that is completed in it, however the stream is divided into
// pieces. Only a suffix that may still become a stop string is held back. Copyable: a copy is a checkpoint.
class StopStrings {
 public:
  // Throws Error(usage) for an empty string.
  explicit StopStrings(std::vector<std::string> stops);

  // What became certain with this piece; valid until the next call. After a stop it is always empty.
  std::string_view push(std::string_view piece);
  // The answer ended otherwise: what is held back.
  std::string_view finish();

  // The stop string that was found; if several end at one byte, the longest.
  const std::optional<std::string>& found() const { return found_; }

 private:
  struct Stop {
    std::string text;
    std::vector<std::size_t> border;  // [text.size() + 1], longest proper prefix that is also a suffix of text[0, i)
    std::size_t matched = 0;          // bytes at the end of the stream that are a prefix of text
  };
  std::vector<Stop> stops_;
  std::string held_;
  std::string out_;
  std::optional<std::string> found_;
};

}  // namespace llm::sampling

#endif
