#include <ctime>

#include <fmt/format.h>
#include <llm/chat.hpp>

#include "chat/answer.h"
#include "chat/interpreter.h"
#include "chat/unicode.h"

namespace llm {
inline namespace v1 {

namespace {

using chat::Interpreter;
using chat::Kind;
using chat::TextPtr;
using chat::Value;

constexpr std::size_t longest_source = std::size_t{4} << 20;

std::string checked_source(std::string_view source) {
  if (source.size() > longest_source) {
    throw Error(ErrorCode::usage,
                fmt::format("the chat template has {} bytes, more than {} MiB", source.size(), longest_source >> 20));
  }
  if (!chat::is_utf8(source)) throw Error(ErrorCode::usage, "line 1, column 1: the chat template is not UTF-8");
  return chat::normalize_source(source);
}

[[noreturn]] void bad_time(std::string_view text) {
  throw Error(ErrorCode::usage,
              fmt::format("now: expected a time such as 2026-07-14T09:05:03, found '{}'", text.substr(0, 40)));
}

// "2026-07-14", "2026-07-14T09:05" or with seconds; what follows them (fraction, zone) is not used.
std::tm parse_time(const std::string& text) {
  std::tm time{};
  if (text.empty()) {
    const std::time_t now = std::time(nullptr);
    localtime_r(&now, &time);
    return time;
  }
  int day[3] = {0, 0, 0}, clock[3] = {0, 0, 0};
  const int n = std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d", &day[0], &day[1], &day[2], &clock[0],
                            &clock[1], &clock[2]);
  const bool in_range = n >= 3 && day[0] >= 1 && day[1] >= 1 && day[1] <= 12 && day[2] >= 1 && day[2] <= 31 &&
                        clock[0] >= 0 && clock[0] < 24 && clock[1] >= 0 && clock[1] < 60 && clock[2] >= 0 &&
                        clock[2] < 62;
  if (!in_range) bad_time(text);
  time.tm_year = day[0] - 1900;
  time.tm_mon = day[1] - 1;
  time.tm_mday = day[2];
  time.tm_hour = clock[0];
  time.tm_min = clock[1];
  time.tm_sec = clock[2];
  time.tm_isdst = 0;
  timegm(&time);  // fills in the day of the week and of the year
  return time;
}

void define_object(Interpreter& interpreter, const Value& object, std::string_view what) {
  if (!object.is(Kind::dict)) throw Error(ErrorCode::usage, fmt::format("{}: expected a JSON object", what));
  for (const auto& [name, value] : object.dict().entries()) interpreter.define(name.bytes(), value);
}

// The reasoning of an answer goes by several names; templates read two of them.
void complete_reasoning(Interpreter& interpreter, const Value& messages) {
  for (const Value& message : messages.list().items) {
    if (!message.is(Kind::dict)) continue;
    for (const std::string_view name : {"reasoning_content", "thinking", "reasoning"}) {
      const Value* given = message.dict().find(name);
      if (given == nullptr || given->is_none()) continue;
      const Value reasoning = *given;
      for (const std::string_view copy : {"reasoning_content", "thinking"}) {
        if (copy == name || (copy == "thinking" && message.dict().find(copy) != nullptr)) continue;
        interpreter.heap().set(message.dict(), interpreter.text_value(copy, true), reasoning);
      }
      break;
    }
  }
}

}  // namespace

struct ChatTemplate::Impl {
  explicit Impl(std::string_view text)
      : source(checked_source(text)), parsed(chat::parse_template(source)), answers(source) {}

  TextPtr render(Interpreter& interpreter, std::string_view messages_json, const ChatRenderOptions& options) const {
    try {
      define_all(interpreter, messages_json, options);
    } catch (const chat::Failure& failure) {
      throw Error(ErrorCode::usage, "variables of the chat template: " + failure.message);
    }
    return interpreter.run();
  }

  static void define_all(Interpreter& interpreter, std::string_view messages_json, const ChatRenderOptions& options) {
    chat::Heap& heap = interpreter.heap();
    const Value messages = chat::from_json(heap, messages_json, "messages");
    if (!messages.is(Kind::list)) throw Error(ErrorCode::usage, "messages: expected a JSON array");
    complete_reasoning(interpreter, messages);
    interpreter.define("tools", Value::none());
    interpreter.define("documents", Value::none());
    interpreter.define("bos_token", interpreter.text_value(options.bos_token));
    interpreter.define("eos_token", interpreter.text_value(options.eos_token));
    interpreter.define("add_generation_prompt", Value(options.add_generation_prompt));
    interpreter.define("messages", messages);
    if (!options.tools_json.empty()) {
      const Value tools = chat::from_json(heap, options.tools_json, "tools");
      if (!tools.is(Kind::list) && !tools.is_none()) throw Error(ErrorCode::usage, "tools: expected a JSON array");
      interpreter.define("tools", tools);
    }
    if (!options.variables_json.empty()) {
      define_object(interpreter, chat::from_json(heap, options.variables_json, "variables"), "variables");
    }
  }

  std::string source;
  chat::Template parsed;
  chat::AnswerFormat answers;
};

ChatTemplate::ChatTemplate(std::string_view source) : impl_(std::make_unique<Impl>(source)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(std::string_view messages_json, const ChatRenderOptions& options) const {
  Interpreter interpreter(impl_->parsed, parse_time(options.now));
  return impl_->render(interpreter, messages_json, options)->bytes();
}

std::vector<ChatSegment> ChatTemplate::render_segments(std::string_view messages_json,
                                                       const ChatRenderOptions& options) const {
  Interpreter interpreter(impl_->parsed, parse_time(options.now));
  const TextPtr text = impl_->render(interpreter, messages_json, options);
  std::vector<ChatSegment> segments;
  std::size_t begin = 0;
  for (const chat::Run& run : text->runs()) {
    segments.push_back({text->bytes().substr(begin, run.end - begin), !run.foreign});
    begin = run.end;
  }
  return segments;
}

std::string ChatTemplate::render_variables(std::string_view variables_json, std::string_view now) const {
  Interpreter interpreter(impl_->parsed, parse_time(std::string(now)));
  interpreter.forbid_changes();
  if (!variables_json.empty()) {
    define_object(interpreter, chat::from_json(interpreter.heap(), variables_json, "variables"), "variables");
  }
  return interpreter.run()->bytes();
}

bool ChatTemplate::opens_reasoning(std::string_view prompt_text) const {
  return impl_->answers.opens_reasoning(prompt_text);
}

ChatAnswer ChatTemplate::parse_answer(std::string_view text, bool in_reasoning) const {
  return impl_->answers.parse(text, in_reasoning);
}

}  // namespace v1
}  // namespace llm
