#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <variant>

#include "chat_prompt.h"
#include "console.h"
#include "conversation.h"
#include "line_editor.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "report.h"

namespace llmgen {

namespace {

struct ChatCommandFlags {
  ModelFlags model;
  ConsoleFlags console;
  RunFlags run;
  SamplingFlags sampling;
  ConstraintFlags constraint;
  ChatFlags chat;
  SpeculationFlags speculation;
  std::string load;
};

constexpr const char* help_text = R"(/help            this list
/reset           forget the conversation (the system message stays)
/system [TEXT]   show or set the system message
/save FILE       write the conversation as JSON that llmgen batch reads
/load FILE       go on with a saved conversation
/regen           answer the last question again, with another seed
/edit            change the last question
/params [N=V]    show the sampling options, or set one: /params temp=0.2
/stats           tokens, speed and memory
/exit            leave (Ctrl-D does the same)
A line that ends in \ goes on in the next one; """ begins and ends a text of several lines.
Ctrl-C stops an answer.)";

// Sampling options that /params shows and sets.
struct Parameter {
  const char* name;
  std::variant<float llm::SamplingOptions::*, int llm::SamplingOptions::*> member;
};
constexpr Parameter parameters[] = {
    {"temp", &llm::SamplingOptions::temperature},
    {"top_k", &llm::SamplingOptions::top_k},
    {"top_p", &llm::SamplingOptions::top_p},
    {"min_p", &llm::SamplingOptions::min_p},
    {"typical_p", &llm::SamplingOptions::typical_p},
    {"top_n_sigma", &llm::SamplingOptions::top_n_sigma},
    {"repeat_penalty", &llm::SamplingOptions::repeat_penalty},
    {"presence_penalty", &llm::SamplingOptions::presence_penalty},
    {"frequency_penalty", &llm::SamplingOptions::frequency_penalty},
    {"xtc_probability", &llm::SamplingOptions::xtc_probability},
    {"dry_multiplier", &llm::SamplingOptions::dry_multiplier},
    {"mirostat", &llm::SamplingOptions::mirostat},
};

bool set_sampling(llm::SamplingOptions& options, const std::string& name, double value) {
  for (const Parameter& parameter : parameters) {
    if (name != parameter.name) continue;
    std::visit(
        [&](auto member) {
          using Number = std::decay_t<decltype(options.*member)>;
          if (std::is_same_v<Number, int> && !(std::fabs(value) <= 1e9 && value == std::floor(value))) {
            throw llm::Error(llm::ErrorCode::usage, fmt::format("{}: found {}, expected a whole number", name, value));
          }
          options.*member = static_cast<Number>(value);
        },
        parameter.member);
    return true;
  }
  return false;
}

std::string sampling_names() {
  std::string names;
  for (const Parameter& parameter : parameters) names += (names.empty() ? "" : ", ") + std::string(parameter.name);
  return names;
}

std::string sampling_values(const llm::SamplingOptions& options) {
  std::string text;
  for (const Parameter& parameter : parameters) {
    std::visit(
        [&](auto member) { text += fmt::format("{}{}={}", text.empty() ? "" : " ", parameter.name, options.*member); },
        parameter.member);
  }
  return text;
}

class Chat {
 public:
  Chat(ChatCommandFlags& flags, const Console& console)
      : flags_(flags),
        console_(console),
        request_(request_of(flags.sampling)),
        model_(load_model(flags.model, console)),
        template_(chat_template_of(model_, flags.chat)),
        engine_(model_, options_of(flags, console)),
        editor_(history_path()) {
    use_model_settings(flags.sampling, model_, console_, request_.sampling);
    request_.constraint = constraint_of(flags.constraint);
    set_speculation(flags.speculation, request_);
    warn_beyond_training(engine_.options(), model_, console_);
    conversation_.set_system(flags.chat.system);
    if (!flags.load.empty()) conversation_.load(flags.load);
  }

  int run() {
    console_.note(fmt::format("{}: type a message, /help for commands, Ctrl-D to leave", model_.info().name));
    for (;;) {
      std::string text;
      clear_interrupt();
      const LineEditor::Status status = read_message(text);
      if (status == LineEditor::Status::end) break;
      if (status == LineEditor::Status::interrupted) {
        editor_.prefill("");  // of lines that /edit still had to show
        console_.note("");
        continue;
      }
      if (text.find_first_not_of(" \t\n") == std::string::npos) continue;
      try {
        if (text[0] != '/') {
          conversation_.add("user", text);
          answer();
        } else if (!command(text)) {
          break;
        }
      } catch (const llm::Error& error) {
        if (!stdin_is_terminal()) throw;  // nobody is there to type it again
        console_.warning(error.message());
      }
    }
    return 0;
  }

 private:
  static llm::EngineOptions options_of(const ChatCommandFlags& flags, const Console& console) {
    llm::EngineOptions options = engine_options(flags.run);
    set_draft_model(flags.speculation, flags.model, console, options);
    return options;
  }

  static std::string history_path() {
    if (const char* state = std::getenv("XDG_STATE_HOME")) return std::string(state) + "/llmgen_history";
    if (const char* home = std::getenv("HOME")) return std::string(home) + "/.llmgen_history";
    return {};
  }

  // A message: one line, lines joined by a trailing backslash, or a block between """.
  LineEditor::Status read_message(std::string& text) {
    std::string line;
    LineEditor::Status status = editor_.read("> ", line);
    if (status != LineEditor::Status::line) return status;
    const bool block = line.rfind("\"\"\"", 0) == 0;
    if (block) line.erase(0, 3);
    const auto goes_on = [block](std::string& part) {
      if (block) {
        if (part.size() < 3 || part.compare(part.size() - 3, 3, "\"\"\"") != 0) return true;
        part.erase(part.size() - 3);
        return false;
      }
      if (part.empty() || part.back() != '\\') return false;
      part.pop_back();
      return true;
    };
    bool more = goes_on(line);
    text = line;
    while (more) {
      status = editor_.read(". ", line);
      if (status == LineEditor::Status::interrupted) return status;
      if (status == LineEditor::Status::end) break;
      more = goes_on(line);
      text += '\n' + line;
    }
    return LineEditor::Status::line;
  }

  // Ids of the conversation, with old turns dropped, and said so, until an answer has room.
  std::vector<llm::TokenId> fitting_prompt() {
    const std::int64_t context = engine_.options().n_context;
    const std::int64_t reserve = std::min<std::int64_t>(context / 4, std::max(1, request_.max_tokens));
    int n_dropped = 0;
    std::vector<llm::TokenId> ids = render_ids(model_, template_, conversation_.messages(), flags_.chat);
    while (static_cast<std::int64_t>(ids.size()) + reserve > context) {
      if (!conversation_.drop_oldest_turn()) {
        if (static_cast<std::int64_t>(ids.size()) < context) break;
        throw llm::Error(llm::ErrorCode::context,
                         fmt::format("the message has {} tokens, the context {}: shorten it or start with a larger -c",
                                     ids.size(), context));
      }
      ++n_dropped;
      ids = render_ids(model_, template_, conversation_.messages(), flags_.chat);
    }
    if (n_dropped > 0) {
      console_.warning(
          fmt::format("the context of {} tokens is full: forgot the oldest {} {} (the system message stays)", context,
                      n_dropped, n_dropped == 1 ? "turn" : "turns"));
    }
    return ids;
  }

  // Answers the last message, which is forgotten if that fails.
  void answer() {
    try {
      generate_answer();
    } catch (const llm::Error&) {
      conversation_.take_last_user();
      throw;
    }
  }

  void generate_answer() {
    llm::Request request = request_;
    request.sequence_key = n_answers_++;
    request.prompt = fitting_prompt();
    AnswerStream stream(model_, flags_.chat, request);
    const std::vector<llm::TokenId> prompt = request.prompt;
    CallbackGuard guard;
    request.on_token = [&](const llm::GeneratedToken& token) {
      return guard([&] {
        out_.text(stream.push(token.text));
        out_.flush();
      });
    };
    std::optional<llm::Result> result;
    const llm::Engine::Ticket ticket =
        engine_.submit(std::move(request), [&](llm::Result r) { result = std::move(r); });
    while (!result && engine_.step()) {
      if (interrupted()) engine_.cancel(ticket);
    }
    guard.rethrow();
    out_.text(stream.finish());
    out_.text("\n");
    out_.flush();
    if (!result) throw llm::Error(llm::ErrorCode::internal, "the engine stopped without an answer");
    if (result->reason == llm::FinishReason::error) throw llm::Error(llm::ErrorCode::internal, result->error);
    if (result->reason == llm::FinishReason::cancelled) console_.note("(stopped)");
    if (result->reason == llm::FinishReason::length)
      console_.note(fmt::format("(cut after {} tokens: -n)", request_.max_tokens));
    if (result->reason == llm::FinishReason::context) console_.note("(cut: the context is full)");
    last_ = result->timings;
    const llm::ChatAnswer parts = parse_answer(model_, template_, prompt, *result);
    nlohmann::ordered_json message = {{"role", "assistant"}, {"content", parts.content}};
    if (!parts.tool_calls.empty()) {
      message["tool_calls"] = tool_calls_json(parts);
      for (const llm::ToolCall& call : parts.tool_calls) {
        console_.note(fmt::format("(calls {} with {})", call.name, call.arguments_json));
      }
    }
    conversation_.add(std::move(message));
  }

  // False: leave.
  bool command(const std::string& text) {
    const std::size_t space = text.find_first_of(" \t\n");
    const std::string name = text.substr(0, space);
    const std::size_t begin = text.find_first_not_of(" \t\n", space);
    const std::string argument =
        space == std::string::npos || begin == std::string::npos ? std::string() : text.substr(begin);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/help") {
      console_.note(help_text);
    } else if (name == "/reset") {
      conversation_.clear();
      console_.note("(forgotten)");
    } else if (name == "/system") {
      set_system(argument);
    } else if (name == "/save") {
      save(argument);
    } else if (name == "/load") {
      if (argument.empty()) throw llm::Error(llm::ErrorCode::usage, "/load needs a file name");
      conversation_.load(argument);
      console_.note(fmt::format("(loaded {} messages)", conversation_.n_messages()));
    } else if (name == "/regen") {
      regenerate();
    } else if (name == "/edit") {
      const std::string question = conversation_.take_last_user();
      if (question.empty()) throw llm::Error(llm::ErrorCode::usage, "there is no question to edit");
      editor_.prefill(question.find('\n') == std::string::npos ? question : "\"\"\"" + question + "\"\"\"");
    } else if (name == "/params") {
      params(argument);
    } else if (name == "/stats") {
      stats();
    } else {
      throw llm::Error(llm::ErrorCode::usage, fmt::format("{} is no command; /help lists them", name));
    }
    return true;
  }

  void set_system(const std::string& text) {
    if (!text.empty()) {
      conversation_.set_system(text);
      console_.note("(system message set)");
      return;
    }
    const auto& messages = conversation_.messages();
    const bool has = !messages.empty() && messages.front()["role"] == "system";
    console_.note(has ? messages.front()["content"].get<std::string>() : "(no system message)");
  }

  void save(const std::string& path) {
    if (path.empty()) throw llm::Error(llm::ErrorCode::usage, "/save needs a file name");
    conversation_.save(path);
    console_.note(fmt::format("(saved {} messages)", conversation_.n_messages()));
  }

  void regenerate() {
    const std::string question = conversation_.take_last_user();
    if (question.empty()) throw llm::Error(llm::ErrorCode::usage, "there is no question to answer again");
    conversation_.add("user", question);
    ++request_.sampling.seed;
    if (request_.sampling.temperature == 0) {
      console_.note("(temp is 0, so the answer will be the same; /params temp=0.8 lets it vary)");
    }
    answer();
  }

  void params(const std::string& argument) {
    llm::SamplingOptions changed = request_.sampling;
    const std::size_t equals = argument.find('=');
    if (!argument.empty()) {
      const std::string name = argument.substr(0, equals);
      const std::string value = equals == std::string::npos ? std::string() : argument.substr(equals + 1);
      char* end = nullptr;
      const double number = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0')
        throw llm::Error(llm::ErrorCode::usage, "expected a name and a number, e.g. /params temp=0.2");
      const auto whole = [&](double low, double high) {
        if (number >= low && number <= high && number == std::floor(number)) return number;
        throw llm::Error(llm::ErrorCode::usage, fmt::format("{}: found {}, expected a whole number of {:.0f} to {:.0f}",
                                                            name, value, low, high));
      };
      if (name == "n") {
        request_.max_tokens = static_cast<int>(whole(-1, 1e9));
      } else if (name == "seed") {
        changed.seed = static_cast<std::uint64_t>(whole(0, 9007199254740992.0));
      } else if (!set_sampling(changed, name, number)) {
        throw llm::Error(llm::ErrorCode::usage, fmt::format("{} is none of {}, seed, n", name, sampling_names()));
      }
      changed.validate();
      request_.sampling = changed;
    }
    console_.note(fmt::format("{} seed={} n={}", sampling_values(request_.sampling), request_.sampling.seed,
                              request_.max_tokens));
  }

  void stats() {
    note_timings(console_, last_, 0);
    console_.note(fmt::format("{} messages; prompt of the last answer: {} tokens, {} of them kept from before",
                              conversation_.n_messages(), last_.n_prompt, last_.n_cached));
    console_.note(
        fmt::format("context {} tokens, memory {}", engine_.options().n_context, format_bytes(engine_.memory().total)));
  }

  ChatCommandFlags& flags_;
  const Console& console_;
  llm::Request request_;
  llm::Model model_;
  llm::ChatTemplate template_;
  llm::Engine engine_;
  LineEditor editor_;
  Conversation conversation_;
  Output out_;
  llm::Timings last_;
  std::uint64_t n_answers_ = 0;
};

int run_chat(ChatCommandFlags& flags) {
  const Console console = console_of(flags.console);
  check_chat_flags(flags.chat);
  flags.chat.chat = true;
  watch_interrupt();
  return Chat(flags, console).run();
}

}  // namespace

void add_chat(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<ChatCommandFlags>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model in the terminal");
  add_model_flags(*command, flags->model);
  command->add_option("--load", flags->load, "Go on with a conversation saved by /save")
      ->group("Chat")
      ->type_name("FILE");
  add_chat_flags(*command, flags->chat);
  add_run_flags(*command, flags->run);
  add_speculation_flags(*command, flags->speculation);
  add_sampling_flags(*command, flags->sampling);
  add_constraint_flags(*command, flags->constraint);
  add_console_flags(*command, flags->console);
  command->footer(help_text);
  add_environment(*command);
  command->callback([&program, flags] { program.run = [flags] { return run_chat(*flags); }; });
}

}  // namespace llmgen
