#include "batch_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "options.h"
#include "report.h"
#include "translation.h"

namespace llmgen {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr int max_json_depth = 64;
constexpr int max_choices = 128;
constexpr std::size_t max_inputs = 2048;  // prompts of one line
// The field of errors that concern the line as a whole.
constexpr const char* whole_line = "line";

// Fields that say what to do rather than how; everything else that is no option belongs to the user.
constexpr std::string_view work_fields[] = {"prompt",  "prompt_ids", "messages",      "completion",
                                            "choices", "tools",      "template_vars", "chat_template_kwargs",
                                            "system"};
// Parts of an OpenAI body that change nothing here.
constexpr std::string_view neutral_body_fields[] = {
    "model", "user", "metadata", "store", "service_tier", "parallel_tool_calls", "stream_options", "stream"};
// Parts that are read by name.
constexpr std::string_view read_body_fields[] = {"n",     "messages",        "prompt",        "input",
                                                 "tools", "tool_choice",     "template_vars", "chat_template_kwargs",
                                                 "echo",  "encoding_format", "dimensions"};
// Ways to say what the prompt is; with --template they are the user's own fields.
constexpr std::string_view prompt_fields[] = {"prompt", "prompt_ids", "messages"};

template <class Range>
bool is_one_of(std::string_view name, const Range& names) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Whether a field belongs to the user whatever its name: the template fills it in, or makes the prompt instead of it.
bool is_template_field(const RecordRules& rules, std::string_view field) {
  return rules.line_template.uses(field) || (!rules.line_template.empty() && is_one_of(field, prompt_fields));
}

// splitmix64, shortened to what a JSON number holds exactly: a seed of its own for every line.
std::uint64_t line_seed(std::uint64_t run_seed, std::uint64_t index) {
  const auto mix = [](std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  };
  return mix(mix(run_seed) ^ index) >> 11;
}

// Errors name the field of the object in which reading stopped.
ordered_json parse_json(const std::string& line) {
  std::string field = whole_line;
  const auto watch = [&](int depth, ordered_json::parse_event_t event, ordered_json& value) {
    if (depth > max_json_depth)
      throw RecordError(field, fmt::format("{}: nested deeper than {} levels", field, max_json_depth));
    if (depth == 1 && event == ordered_json::parse_event_t::key) field = value.get<std::string>();
    return true;
  };
  try {
    return ordered_json::parse(line, watch);
  } catch (const json::exception& error) {
    std::string what = error.what();
    if (const std::size_t colon = what.find("] "); colon != std::string::npos) what = what.substr(colon + 2);
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw RecordError(field, "the line is no JSON: " + what, llm::ErrorCode::io);
  }
}

bool looks_openai(const ordered_json& object) {
  const int n_marks = object.contains("custom_id") + object.contains("url") + object.contains("method");
  return object.contains("body") ? n_marks > 0 : object.contains("custom_id") && object.contains("url");
}

// A text in place of the list of parts that OpenAI's messages may have.
ordered_json with_plain_content(const ordered_json& message, const std::string& place) {
  const auto content = message.find("content");
  if (content == message.end() || !content->is_array()) return message;
  std::string text;
  for (const ordered_json& part : *content) {
    const bool is_text = part.is_object() && part.value("type", ordered_json()) == "text" && part.contains("text");
    if (!is_text) wrong_field(place + ".content", "a text or parts of type \"text\"", *content);
    text += string_in(place + ".content", part["text"]);
  }
  ordered_json plain = message;
  plain["content"] = text;
  return plain;
}

class LineParser {
 public:
  LineParser(const RecordRules& rules, const llm::Model& model, std::uint64_t index) : rules_(rules), model_(model) {
    options_.request = rules.defaults;
    options_.request.sampling.seed = line_seed(rules.defaults.sampling.seed, index);
    options_.source_lang = rules.source_lang;
    options_.target_lang = rules.target_lang;
    options_.beams_given = rules.beams_given;
    record_.carried = ordered_json::object();
  }

  void parse(const std::string& line) {
    if (rules_.plain_lines) {
      parse_text(line);
    } else {
      parse_value(parse_json(line));
    }
    set_logprobs();
    set_search();
  }

  Record record_;
  LineOptions options_;

 private:
  void parse_value(const ordered_json& value) {
    if (value.is_string()) return parse_text(value.get<std::string>());
    if (!value.is_object()) wrong_field(whole_line, "a string or an object", value);
    if (looks_openai(value)) return parse_openai(value);
    parse_object(value);
  }

  // A line that is nothing but a text.
  void parse_text(const std::string& text) {
    ordered_json object = ordered_json::object();
    object["prompt"] = text;
    if (!rules_.line_template.empty()) {
      object["text"] = text;
      object["line"] = text;
    }
    read_work(object);
  }

  void parse_object(const ordered_json& object) {
    for (const auto& [field, value] : object.items()) {
      if (is_template_field(rules_, field)) {
        record_.carried[field] = value;
      } else if (!set_option(field, value, options_) && !is_one_of(field, work_fields)) {
        if (field != "id") refuse_misspelt(field);
        record_.carried[field] = value;
      }
    }
    read_work(object);
  }

  // A field of the user's own that is one slip away from an option is taken for a mistake.
  static void refuse_misspelt(const std::string& field) {
    const std::string near = nearest_option(field);
    if (!near.empty()) throw RecordError(field, fmt::format("{}: no such option (did you mean {}?)", field, near));
  }

  void parse_openai(const ordered_json& object) {
    record_.openai = true;
    for (const char* field : {"custom_id", "body"}) {
      if (!object.contains(field)) throw RecordError(field, fmt::format("{}: missing", field));
    }
    record_.custom_id = string_in("custom_id", object["custom_id"]);
    if (object.contains("method") && object["method"] != "POST") wrong_field("method", "\"POST\"", object["method"]);
    const ordered_json& body = object["body"];
    if (!body.is_object()) wrong_field("body", "an object", body);
    record_.url = object.contains("url") ? string_in("url", object["url"]) : url_of(body);
    record_.model_name =
        body.contains("model") && body["model"].is_string() ? body["model"].get<std::string>() : model_.info().name;
    // OpenAI's clients write null for what is not set.
    ordered_json given = ordered_json::object();
    for (const auto& [field, value] : body.items()) {
      if (!value.is_null()) given[field] = value;
    }
    read_body(given);
  }

  static std::string url_of(const ordered_json& body) {
    return body.contains("messages") ? "/v1/chat/completions"
           : body.contains("input")  ? "/v1/embeddings"
                                     : "/v1/completions";
  }

  void read_body(const ordered_json& body) {
    for (const auto& [field, value] : body.items()) {
      if (is_one_of(field, read_body_fields) || is_one_of(field, neutral_body_fields)) continue;
      if (set_option(field, value, options_)) continue;
      if (rules_.strict) throw RecordError(field, fmt::format("{}: no such option", field));
      record_.warnings.push_back(fmt::format("{} is ignored", field));
    }
    if (body.contains("stream") && body["stream"] != false)
      throw RecordError("stream", "stream: a batch has no streaming, expected false");
    if (body.contains("n")) record_.n_choices = static_cast<int>(whole_in("n", body["n"], 1, max_choices));
    if (record_.url == "/v1/chat/completions") {
      if (!body.contains("messages")) throw RecordError("messages", "messages: missing");
      set_messages(body["messages"], body);
    } else if (record_.url == "/v1/completions") {
      if (!body.contains("prompt")) throw RecordError("prompt", "prompt: missing");
      set_prompts("prompt", body["prompt"]);
      read_echo(body);
    } else if (record_.url == "/v1/embeddings") {
      record_.kind = RecordKind::embed;
      if (!body.contains("input")) throw RecordError("input", "input: missing");
      set_prompts("input", body["input"]);
      read_embedding_options(body);
    } else {
      throw RecordError("url",
                        fmt::format("url: expected /v1/chat/completions, /v1/completions or /v1/embeddings, found '{}'",
                                    record_.url));
    }
  }

  void read_echo(const ordered_json& body) {
    if (!body.contains("echo") || !boolean_in("echo", body["echo"])) return;
    if (options_.logprobs.value_or(false))
      throw RecordError("echo", "echo: not together with logprobs; scores of given text: --score");
    const llm::Tokenizer& tokenizer = tokenizer_of(model_);
    for (const std::vector<llm::TokenId>& ids : record_.prompts)
      record_.echo.push_back(tokenizer.decode(ids, options_.request.special));
  }

  void read_embedding_options(const ordered_json& body) {
    if (body.contains("encoding_format")) {
      const std::string format = string_in("encoding_format", body["encoding_format"]);
      if (format != "float" && format != "base64")
        wrong_field("encoding_format", "\"float\" or \"base64\"", body["encoding_format"]);
      record_.base64 = format == "base64";
    }
    if (body.contains("dimensions")) {
      const std::int64_t n = model_.info().n_embedding;
      if (body["dimensions"] != n)
        wrong_field("dimensions", fmt::format("{} (the model has no other)", n), body["dimensions"]);
    }
  }

  // Whether the line says something with a field of ours.
  bool has(const ordered_json& object, std::string_view field) const {
    return object.contains(field) && !is_template_field(rules_, field);
  }

  // Whether the vocabulary has every id.
  void check_ids(const std::string& field, const std::vector<llm::TokenId>& ids) const {
    const std::int64_t n_vocab = model_.info().n_vocab_source;
    for (const llm::TokenId id : ids) {
      if (id < n_vocab) continue;
      throw RecordError(field, fmt::format("{}: {} is outside the vocabulary of {}", field, id, n_vocab));
    }
  }

  std::vector<llm::TokenId> checked_ids(const std::string& field, const ordered_json& value) const {
    std::vector<llm::TokenId> ids = ids_in(field, value);
    check_ids(field, ids);
    if (ids.empty()) throw RecordError(field, field + ": empty, expected at least one token id");
    return ids;
  }

  std::vector<llm::TokenId> encode_plain(const std::string& text) const {
    return text_ids(model_, text, rules_.parse_special, options_.source_lang, options_.target_lang);
  }

  // OpenAI's forms: a text, token ids, or a list of either.
  void set_prompts(const std::string& field, const ordered_json& value) {
    record_.prompt_field = field;
    const bool is_list = value.is_array() && !value.empty() && !value[0].is_number();
    if (!is_list) return add_prompt(field, value);
    if (value.size() > max_inputs)
      throw RecordError(field, fmt::format("{}: {} texts, expected at most {}", field, value.size(), max_inputs));
    for (const ordered_json& item : value) add_prompt(field, item);
  }

  void add_prompt(const std::string& field, const ordered_json& value) {
    if (value.is_array()) {
      record_.prompts.push_back(checked_ids(field, value));
      return;
    }
    if (!value.is_string()) wrong_field(field, "a text or token ids", value);
    const auto text = value.get<std::string>();
    if (text.empty()) throw RecordError(field, field + ": empty, expected a text");
    record_.prompts.push_back(encode_plain(text));
    if (record_.prompts.back().empty()) throw RecordError(field, field + ": empty, it has no token");
  }

  // The prompt of a line of ours, in whichever form it is given.
  void read_prompt(const ordered_json& object) {
    if (!rules_.line_template.empty()) {
      record_.prompt_field = "prompt";
      set_text_prompt(rules_.line_template.fill(object), object);
      return;
    }
    int n_forms = 0;
    for (const std::string_view form : prompt_fields) {
      if (!object.contains(form)) continue;
      record_.prompt_field = form;
      ++n_forms;
    }
    if (n_forms > 1) throw RecordError(record_.prompt_field, "prompt, prompt_ids and messages exclude each other");
    if (n_forms == 0) throw RecordError("prompt", "prompt: missing; expected prompt, prompt_ids or messages");
    const ordered_json& value = object[record_.prompt_field];
    if (record_.prompt_field == "messages") {
      set_messages(value, object);
    } else if (record_.prompt_field == "prompt_ids" || value.is_array()) {
      record_.prompts = {checked_ids(record_.prompt_field, value)};
    } else {
      set_text_prompt(string_in("prompt", value), object);
    }
  }

  void set_text_prompt(const std::string& text, const ordered_json& object) {
    if (text.empty()) throw RecordError("prompt", "prompt: empty, nothing to continue");
    if (wants_chat(rules_.chat) || has(object, "system")) {
      render({{{"role", "user"}, {"content", text}}}, object);
    } else {
      prompt_text_ = text;
      record_.prompts = {encode_plain(text)};
      if (record_.prompts[0].empty()) throw RecordError("prompt", "prompt: empty, it has no token");
    }
  }

  void set_messages(const ordered_json& messages, const ordered_json& object) {
    record_.prompt_field = "messages";
    if (!messages.is_array() || messages.empty())
      wrong_field("messages", "an array of messages that is not empty", messages);
    ordered_json plain = ordered_json::array();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string place = fmt::format("messages[{}]", i);
      if (!messages[i].is_object()) wrong_field(place, "an object with \"role\" and \"content\"", messages[i]);
      if (!messages[i].contains("role") || !messages[i]["role"].is_string())
        throw RecordError(place + ".role", place + ".role: expected a string");
      plain.push_back(with_plain_content(messages[i], place));
    }
    render(plain, object);
  }

  // A conversation becomes the prompt.
  void render(const ordered_json& messages, const ordered_json& object) {
    record_.chat = true;
    ChatFlags chat = rules_.chat;
    if (has(object, "system")) chat.system = string_in("system", object["system"]);
    for (const char* name : {"template_vars", "chat_template_kwargs"}) {
      if (!has(object, name)) continue;
      if (!object[name].is_object()) wrong_field(name, "an object of variables", object[name]);
      chat.variables = dump(object[name]);
    }
    read_tools(object, chat);
    ordered_json all = ordered_json::array();
    if (!chat.system.empty()) all.push_back({{"role", "system"}, {"content", chat.system}});
    for (const ordered_json& message : messages) all.push_back(message);
    if (rules_.chat_template == nullptr) {
      throw RecordError(record_.prompt_field, fmt::format("{}: {}", record_.prompt_field, rules_.no_template_reason));
    }
    try {
      record_.prompts = {render_ids(model_, *rules_.chat_template, all, chat)};
    } catch (const llm::Error& error) {
      throw RecordError(record_.prompt_field, fmt::format("{}: {}", record_.prompt_field, error.message()));
    }
    if (record_.prompts[0].empty())
      throw RecordError(record_.prompt_field, record_.prompt_field + ": the chat template gives an empty prompt");
  }

  void read_tools(const ordered_json& object, ChatFlags& chat) {
    if (has(object, "tools") && !object["tools"].is_null()) {
      if (!object["tools"].is_array()) wrong_field("tools", "an array of tools", object["tools"]);
      chat.tools_json = dump(object["tools"]);
    }
    if (!record_.openai || !object.contains("tool_choice")) return;
    const ordered_json& choice = object["tool_choice"];
    if (choice == "none") {
      chat.tools_json.clear();
      chat.tools_file.clear();
    } else if (choice != "auto") {
      record_.warnings.emplace_back("tool_choice is taken as auto");
    }
  }

  void read_work(const ordered_json& object) {
    read_prompt(object);
    if (has(object, "choices")) {
      read_choices(object["choices"]);
    } else if (rules_.score) {
      record_.kind = RecordKind::score;
      if (!has(object, "completion"))
        throw RecordError("completion", "completion: missing; --score needs prompt and completion");
      record_.completions = {continuation("completion", object["completion"])};
    } else if (rules_.embed) {
      record_.kind = RecordKind::embed;
    } else if (has(object, "completion")) {
      throw RecordError("completion", "completion: only scored with --score");
    }
  }

  void read_choices(const ordered_json& value) {
    record_.kind = RecordKind::choices;
    if (!value.is_array() || value.size() < 2) wrong_field("choices", "an array of at least two texts", value);
    if (value.size() > max_inputs)
      throw RecordError("choices", fmt::format("choices: {}, expected at most {}", value.size(), max_inputs));
    for (const ordered_json& choice : value) {
      record_.completions.push_back(continuation("choices", choice));
      record_.choices.push_back(choice.is_string() ? choice.get<std::string>()
                                                   : tokenizer_text(record_.completions.back()));
    }
  }

  std::string tokenizer_text(const std::vector<llm::TokenId>& ids) const {
    return model_.tokenizer() == nullptr ? std::string() : model_.tokenizer()->decode(ids, true);
  }

  // Tokens that follow the prompt: those of the joined text after the prompt's, unless a token spans the joint.
  std::vector<llm::TokenId> continuation(const std::string& field, const ordered_json& value) const {
    if (value.is_array()) return checked_ids(field, value);
    const std::string text = string_in(field, value);
    if (text.empty()) throw RecordError(field, field + ": empty, nothing to score");
    if (!prompt_text_.empty()) {
      const std::vector<llm::TokenId> joined = encode_plain(prompt_text_ + text);
      const std::vector<llm::TokenId>& prompt = record_.prompts[0];
      if (joined.size() > prompt.size() && std::equal(prompt.begin(), prompt.end(), joined.begin()))
        return {joined.begin() + static_cast<std::ptrdiff_t>(prompt.size()), joined.end()};
    }
    std::vector<llm::TokenId> ids = tokenizer_of(model_).encode(text, {.parse_special = rules_.parse_special});
    if (ids.empty()) throw RecordError(field, field + ": empty, nothing to score");
    return ids;
  }

  void set_logprobs() {
    int n_shown = options_.top_logprobs.value_or(options_.request.n_logprobs);
    bool wanted = options_.logprobs.value_or(n_shown > 0);
    if (!record_.openai) {  // there 0 alternatives still show the chosen token's
      wanted = wanted && options_.top_logprobs.value_or(1) > 0;
      n_shown = std::max(n_shown, 1);
    }
    record_.n_top_logprobs = n_shown;
    options_.request.n_logprobs = wanted ? std::max(n_shown, 1) : 0;
  }

  // A search that the line does not ask for gives way to what it does ask for.
  void set_search() {
    llm::Request& request = options_.request;
    if (model_.info().is_encoder_decoder && options_.target_lang != rules_.target_lang) {
      set_target_language(model_, options_.target_lang, request);
    }
    const bool draws = request.sampling.temperature > 0 && rules_.defaults.beams.n > 1;
    const bool cannot_search = draws || !request.stop.empty() || !request.sampling.logit_bias.empty();
    if (!options_.beams_given && cannot_search) request.beams.n = 1;
  }

  const RecordRules& rules_;
  const llm::Model& model_;
  std::string prompt_text_;  // of a prompt that is plain text
};

}  // namespace

std::size_t Record::n_prompt_tokens() const {
  std::size_t n = 0;
  for (const std::vector<llm::TokenId>& ids : prompts) n += ids.size();
  return n;
}

llm::Constraint RecordReader::compile(const ConstraintText& text, bool lax) {
  using Kind = ConstraintText::Kind;
  std::string key = fmt::format("{} {}", static_cast<int>(text.kind), lax);
  for (const std::string& part : text.texts) key += fmt::format(" {}:{}", part.size(), part);
  const auto known =
      std::find_if(constraints_.begin(), constraints_.end(), [&](const auto& entry) { return entry.first == key; });
  if (known != constraints_.end()) return known->second;
  const auto make = [&] {
    switch (text.kind) {
      case Kind::json_schema:
        return llm::Constraint::json_schema(text.texts[0], {.lax = lax});
      case Kind::json_object:
        return llm::Constraint::json_object();
      case Kind::regex:
        return llm::Constraint::regex(text.texts[0]);
      case Kind::choice:
        return llm::Constraint::choice(text.texts);
      case Kind::grammar:
        break;
    }
    return llm::Constraint::gbnf(text.texts[0]);
  };
  constexpr std::size_t n_kept = 8;
  constraints_.emplace_front(std::move(key), make());
  if (constraints_.size() > n_kept) constraints_.pop_back();
  return constraints_.front().second;
}

Record RecordReader::read(const std::string& line, std::uint64_t index) {
  LineParser parser(rules_, model_, index);
  try {
    parser.parse(line);
  } catch (const llm::Error& error) {
    throw RecordError(parser.record_.prompt_field.empty() ? whole_line : parser.record_.prompt_field, error.message(),
                      error.code());
  }
  if (parser.options_.constraint) {
    const ConstraintText& text = *parser.options_.constraint;
    try {
      parser.options_.request.constraint = compile(text, parser.options_.lax);
    } catch (const llm::Error& error) {
      throw RecordError(text.field, fmt::format("{}: {}", text.field, error.message()));
    }
  }
  parser.record_.request = std::move(parser.options_.request);
  return std::move(parser.record_);
}

LineIdentity RecordReader::identity(const std::string& line) const {
  LineIdentity identity;
  if (rules_.plain_lines) return identity;
  ordered_json value;
  try {
    value = parse_json(line);
  } catch (const RecordError&) {
    return identity;
  }
  if (!value.is_object()) return identity;
  identity.openai = looks_openai(value);
  if (identity.openai) {
    identity.carried["custom_id"] = value.value("custom_id", ordered_json());
    return identity;
  }
  for (const auto& [field, content] : value.items()) {
    const bool is_ours = is_one_of(field, work_fields) || is_option(field);
    if (!is_ours || is_template_field(rules_, field)) identity.carried[field] = content;
  }
  return identity;
}

}  // namespace llmgen
