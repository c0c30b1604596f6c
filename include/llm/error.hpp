#ifndef LLM_ERROR_HPP
#define LLM_ERROR_HPP

#include <exception>
#include <string>

#include <llm/export.hpp>

namespace llm {
inline namespace v1 {

/// What kind of thing went wrong. The values are also the exit codes of `llmgen`.
enum class ErrorCode : int {
  internal = 1,     ///< a bug of ours
  usage = 2,        ///< an option, schema, grammar or template is wrong
  some_failed = 3,  ///< some inputs of a batch failed
  io = 4,           ///< a file or stream cannot be read or written, or is not what it should be
  model = 5,        ///< not a model, damaged, or of an unsupported architecture, type or tokenizer
  memory = 6,       ///< does not fit in memory
  context = 7,      ///< the prompt is longer than the context
  cancelled = 130,  ///< the caller asked to stop
};

/// The one exception type of the library. The message is one line: what, where, found, expected.
class LLM_API Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

}  // namespace v1
}  // namespace llm

#endif
