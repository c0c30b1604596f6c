#include "batch_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "options.h"
#include "report.h"
#include "translation.h"

namespace llmgen {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr int max_json_depth = 64;
constexpr std::size_t max_stops = 64;

std::string kind_of(const ordered_json& value) {
  std::string text = value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (text.size() > 40) text = text.substr(0, 37) + "...";
  return fmt::format("{} {}", value.type_name(), text);
}

[[noreturn]] void wrong(const std::string& field, const std::string& expected, const ordered_json& found) {
  throw RecordError(field, fmt::format("{}: expected {}, found {}", field, expected, kind_of(found)));
}

double number(const std::string& field, const ordered_json& value) {
  if (!value.is_number()) wrong(field, "a number", value);
  return value.get<double>();
}

std::int64_t whole(const std::string& field, const ordered_json& value, std::int64_t low, std::int64_t high) {
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high))
    wrong(field, expected, value);
  if (!value.is_number_integer()) wrong(field, expected, value);
  const auto n = value.get<std::int64_t>();
  if (n < low || n > high) wrong(field, expected, value);
  return n;
}

bool boolean(const std::string& field, const ordered_json& value) {
  if (!value.is_boolean()) wrong(field, "true or false", value);
  return value.get<bool>();
}

std::string string(const std::string& field, const ordered_json& value) {
  if (!value.is_string()) wrong(field, "a string", value);
  return value.get<std::string>();
}

std::vector<std::string> strings(const std::string& field, const ordered_json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array()) wrong(field, "a string or an array of strings", value);
  std::vector<std::string> items;
  for (const ordered_json& item : value) items.push_back(string(field, item));
  return items;
}

std::vector<llm::TokenId> id_list(const std::string& field, const ordered_json& value) {
  if (!value.is_array()) wrong(field, "an array of token ids", value);
  std::vector<llm::TokenId> ids;
  ids.reserve(value.size());
  for (const ordered_json& item : value) ids.push_back(static_cast<llm::TokenId>(whole(field, item, 0, INT32_MAX)));
  return ids;
}

using Setter = std::function<void(const std::string& field, const ordered_json& value, Record& record)>;

template <class Member>
Setter sampling_float(Member member) {
  return [member](const std::string& field, const ordered_json& value, Record& record) {
    record.request.sampling.*member = static_cast<float>(number(field, value));
  };
}

template <class Member>
Setter sampling_int(Member member, int low) {
  return [member, low](const std::string& field, const ordered_json& value, Record& record) {
    record.request.sampling.*member = static_cast<int>(whole(field, value, low, 1 << 30));
  };
}

void set_max_tokens(const std::string& field, const ordered_json& value, Record& record) {
  record.request.max_tokens = static_cast<int>(whole(field, value, -1, 1 << 30));
}

void set_stop(const std::string& field, const ordered_json& value, Record& record) {
  if (value.is_null()) return;
  record.request.stop = strings(field, value);
  if (record.request.stop.size() > max_stops) {
    throw RecordError(
        field, fmt::format("{}: expected at most {} texts, found {}", field, max_stops, record.request.stop.size()));
  }
}

void set_logprobs(const std::string& field, const ordered_json& value, Record& record) {
  if (value.is_boolean()) {
    record.request.n_logprobs = value.get<bool>() ? std::max(record.request.n_logprobs, 1) : 0;
  } else if (!value.is_null()) {
    record.request.n_logprobs = static_cast<int>(whole(field, value, 0, 1000));
  }
}

void set_logit_bias(const std::string& field, const ordered_json& value, Record& record) {
  if (!value.is_object()) wrong(field, "an object of token id to bias", value);
  for (const auto& [id, bias] : value.items()) {
    const auto ids = parse_ids(id, field);
    if (ids.size() != 1) throw RecordError(field, fmt::format("{}: '{}' is no token id", field, id));
    record.request.sampling.logit_bias.emplace_back(ids[0], static_cast<float>(number(field, bias)));
  }
}

void set_response_format(const std::string& field, const ordered_json& value, Record& record) {
  if (!value.is_object() || !value.contains("type")) wrong(field, "an object with \"type\"", value);
  const std::string type = string(field + ".type", value["type"]);
  if (type == "json_object") {
    record.request.constraint = llm::Constraint::json_object();
  } else if (type == "json_schema") {
    const ordered_json* schema = value.contains("json_schema") ? &value["json_schema"] : nullptr;
    if (schema != nullptr && schema->is_object() && schema->contains("schema")) schema = &(*schema)["schema"];
    if (schema == nullptr) throw RecordError(field, field + ": \"json_schema\" is missing");
    record.request.constraint = llm::Constraint::json_schema(dump(*schema), {});
  } else if (type != "text") {
    throw RecordError(field,
                      fmt::format("{}.type: expected text, json_object or json_schema, found '{}'", field, type));
  }
}

// Options of a line, by the names of the flags and by OpenAI's.
const std::map<std::string, Setter>& option_setters() {
  using S = llm::SamplingOptions;
  static const std::map<std::string, Setter> setters = {
      {"n", set_max_tokens},
      {"max_tokens", set_max_tokens},
      {"max_completion_tokens", set_max_tokens},
      {"temp", sampling_float(&S::temperature)},
      {"temperature", sampling_float(&S::temperature)},
      {"top_k", sampling_int(&S::top_k, 0)},
      {"top_p", sampling_float(&S::top_p)},
      {"min_p", sampling_float(&S::min_p)},
      {"typical_p", sampling_float(&S::typical_p)},
      {"top_n_sigma", sampling_float(&S::top_n_sigma)},
      {"repeat_penalty", sampling_float(&S::repeat_penalty)},
      {"repetition_penalty", sampling_float(&S::repeat_penalty)},
      {"repeat_last_n", sampling_int(&S::repeat_last_n, -1)},
      {"presence_penalty", sampling_float(&S::presence_penalty)},
      {"frequency_penalty", sampling_float(&S::frequency_penalty)},
      {"xtc_probability", sampling_float(&S::xtc_probability)},
      {"xtc_threshold", sampling_float(&S::xtc_threshold)},
      {"dry_multiplier", sampling_float(&S::dry_multiplier)},
      {"dry_base", sampling_float(&S::dry_base)},
      {"dry_allowed_length", sampling_int(&S::dry_allowed_length, 0)},
      {"dry_last_n", sampling_int(&S::dry_last_n, -1)},
      {"dynatemp_range", sampling_float(&S::dynatemp_range)},
      {"dynatemp_exponent", sampling_float(&S::dynatemp_exponent)},
      {"mirostat", sampling_int(&S::mirostat, 0)},
      {"mirostat_tau", sampling_float(&S::mirostat_tau)},
      {"mirostat_eta", sampling_float(&S::mirostat_eta)},
      {"adaptive_target", sampling_float(&S::adaptive_target)},
      {"adaptive_decay", sampling_float(&S::adaptive_decay)},
      {"samplers", [](const auto& f, const auto& v, Record& r) { r.request.sampling.samplers = strings(f, v); }},
      {"seed",
       [](const auto& f, const auto& v, Record& r) {
         if (v.is_null()) return;
         r.request.sampling.seed = static_cast<std::uint64_t>(whole(f, v, 0, INT64_MAX));
       }},
      {"stop", set_stop},
      {"logit_bias", set_logit_bias},
      {"logprobs", set_logprobs},
      {"top_logprobs", set_logprobs},
      {"ignore_eos", [](const auto& f, const auto& v, Record& r) { r.request.ignore_eos = boolean(f, v); }},
      {"special", [](const auto& f, const auto& v, Record& r) { r.request.special = boolean(f, v); }},
      {"lookup",
       [](const auto& f, const auto& v, Record& r) { r.request.lookup = static_cast<int>(whole(f, v, 0, 64)); }},
      {"beams",
       [](const auto& f, const auto& v, Record& r) {
         r.request.beams.n = static_cast<int>(whole(f, v, 1, 64));
         r.beams_given = true;
       }},
      {"length_penalty", [](const auto& f, const auto& v,
                            Record& r) { r.request.beams.length_penalty = static_cast<float>(number(f, v)); }},
      {"early_stopping",
       [](const auto& f, const auto& v, Record& r) {
         r.request.beams.stop = parse_beam_stop(v.is_boolean() ? dump(v) : string(f, v), f);
       }},
      {"source_lang", [](const auto& f, const auto& v, Record& r) { r.source_lang = string(f, v); }},
      {"target_lang", [](const auto& f, const auto& v, Record& r) { r.target_lang = string(f, v); }},
      {"decoder_ids", [](const auto& f, const auto& v, Record& r) { r.request.decoder_prompt = id_list(f, v); }},
      {"json_schema",
       [](const auto&, const auto& v, Record& r) {
         r.request.constraint =
             llm::Constraint::json_schema(v.is_string() ? v.template get<std::string>() : dump(v), {});
       }},
      {"json_object",
       [](const auto& f, const auto& v, Record& r) {
         if (boolean(f, v)) r.request.constraint = llm::Constraint::json_object();
       }},
      {"regex",
       [](const auto& f, const auto& v, Record& r) { r.request.constraint = llm::Constraint::regex(string(f, v)); }},
      {"choice",
       [](const auto& f, const auto& v, Record& r) { r.request.constraint = llm::Constraint::choice(strings(f, v)); }},
      {"grammar",
       [](const auto& f, const auto& v, Record& r) { r.request.constraint = llm::Constraint::gbnf(string(f, v)); }},
      {"response_format", set_response_format},
  };
  return setters;
}

// Fields that say what to do rather than how; everything else that is no option belongs to the user.
constexpr std::string_view work_fields[] = {"prompt", "prompt_ids", "messages",      "completion",           "choices",
                                            "input",  "tools",      "template_vars", "chat_template_kwargs", "system"};
// Parts of an OpenAI body that change nothing here.
constexpr std::string_view neutral_body_fields[] = {
    "model",       "user", "metadata", "stream", "store", "service_tier", "n", "encoding_format", "parallel_tool_calls",
    "tool_choice", "echo"};

template <class Range>
bool is_one_of(const std::string& name, const Range& names) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// One letter missing, added, changed or swapped with its neighbour.
bool is_near(const std::string& a, const std::string& b) {
  if (a.size() > b.size()) return is_near(b, a);
  if (b.size() - a.size() > 1) return false;
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin());
  if (a.size() < b.size()) return std::equal(x, a.end(), y + 1, b.end());
  if (x == a.end()) return true;
  if (std::equal(x + 1, a.end(), y + 1)) return true;
  return a.end() - x >= 2 && *x == *(y + 1) && *(x + 1) == *y && std::equal(x + 2, a.end(), y + 2);
}

// A field of the user's own that is one slip away from an option is taken for a mistake.
void refuse_misspelt(const std::string& field) {
  if (field.size() < 5) return;
  for (const auto& [name, setter] : option_setters()) {
    if (name.size() >= 5 && is_near(field, name)) {
      throw RecordError(field, fmt::format("{}: no such option (did you mean {}?)", field, name));
    }
  }
}

ordered_json parse_json(const std::string& line) {
  int depth = 0;
  bool too_deep = false;
  const auto watch = [&](int at, ordered_json::parse_event_t, ordered_json&) {
    depth = std::max(depth, at);
    if (depth > max_json_depth) too_deep = true;
    return !too_deep;
  };
  // Nesting is counted before parsing, so that a deep line costs nothing.
  int open = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++open > max_json_depth)
        throw RecordError("", fmt::format("the line is nested deeper than {} levels", max_json_depth));
    } else if (c == ']' || c == '}') {
      --open;
    }
  }
  try {
    return ordered_json::parse(line, watch);
  } catch (const nlohmann::json::exception& error) {
    std::string what = error.what();
    if (const std::size_t colon = what.find("] "); colon != std::string::npos) what = what.substr(colon + 2);
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw RecordError("", "the line is no JSON: " + json(what).dump(-1, ' ', false, json::error_handler_t::replace));
  }
}

// "Summarise: {text}" with the fields of the object; {{ and }} stand for braces.
std::string fill_template(const std::string& pattern, const ordered_json& object) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if ((c == '{' || c == '}') && i + 1 < pattern.size() && pattern[i + 1] == c) {
      out += c;
      ++i;
    } else if (c == '{') {
      const std::size_t end = pattern.find('}', i);
      if (end == std::string::npos) throw RecordError("--template", "--template: a { without its }");
      const std::string name = pattern.substr(i + 1, end - i - 1);
      if (!object.contains(name))
        throw RecordError(name, fmt::format("{}: the template needs this field, the line has none", name));
      out += object[name].is_string() ? object[name].get<std::string>() : dump(object[name]);
      i = end;
    } else {
      out += c;
    }
  }
  return out;
}

class RecordParser {
 public:
  RecordParser(const RecordRules& rules, const llm::Model& model) : rules_(rules), model_(model) {
    record_.request = rules.defaults;
    record_.source_lang = rules.source_lang;
    record_.target_lang = rules.target_lang;
    record_.beams_given = rules.beams_given;
    record_.carried = ordered_json::object();
  }

  Record parse(const std::string& line) {
    if (rules_.plain_lines) {
      ordered_json object = ordered_json::object();
      object["prompt"] = line;
      if (!rules_.line_template.empty()) object["text"] = line;
      parse_object(object);
      record_.carried.erase("text");
      return std::move(record_);
    }
    ordered_json value = parse_json(line);
    if (value.is_string()) {
      ordered_json object = ordered_json::object();
      object["prompt"] = value;
      value = object;
    }
    if (!value.is_object())
      throw RecordError("", fmt::format("expected a string or an object, found {}", kind_of(value)));
    if (value.contains("custom_id") && value.contains("body")) {
      parse_openai(value);
    } else {
      parse_object(value);
    }
    return std::move(record_);
  }

 private:
  void parse_object(const ordered_json& object) {
    for (const auto& [field, value] : object.items()) {
      if (const auto setter = option_setters().find(field); setter != option_setters().end()) {
        apply(setter->second, field, value);
      } else if (!is_one_of(field, work_fields)) {
        if (field != "id") refuse_misspelt(field);
        record_.carried[field] = value;
      }
    }
    read_work(object);
  }

  void parse_openai(const ordered_json& object) {
    record_.openai = true;
    record_.custom_id = string("custom_id", object["custom_id"]);
    record_.url = object.contains("url") ? string("url", object["url"]) : "/v1/chat/completions";
    const ordered_json& body = object["body"];
    if (!body.is_object()) wrong("body", "an object", body);
    if (body.contains("stream") && body["stream"] == true)
      throw RecordError("body.stream", "body.stream: a batch has no streaming");
    record_.model_name =
        body.contains("model") && body["model"].is_string() ? body["model"].get<std::string>() : model_.info().name;
    if (body.contains("n")) record_.n_choices = static_cast<int>(whole("body.n", body["n"], 1, 16));
    for (const auto& [field, value] : body.items()) {
      if (is_one_of(field, neutral_body_fields) || is_one_of(field, work_fields)) continue;
      if (const auto setter = option_setters().find(field); setter != option_setters().end()) {
        apply(setter->second, "body." + field, value);
      } else if (rules_.strict) {
        throw RecordError("body." + field, fmt::format("body.{}: no such option", field));
      } else {
        record_.warnings.push_back(fmt::format("body.{} is ignored", field));
      }
    }
    if (record_.url == "/v1/embeddings") {
      record_.kind = RecordKind::embed;
      if (!body.contains("input")) throw RecordError("body.input", "body.input is missing");
      record_.request.prompt = encode_plain(string("body.input", body["input"]));
    } else if (record_.url == "/v1/chat/completions" || record_.url == "/v1/completions") {
      read_work(body);
    } else {
      throw RecordError("url",
                        fmt::format("url: expected /v1/chat/completions, /v1/completions or /v1/embeddings, found '{}'",
                                    record_.url));
    }
  }

  void apply(const Setter& setter, const std::string& field, const ordered_json& value) {
    try {
      setter(field, value, record_);
    } catch (const llm::Error& error) {
      throw RecordError(field, fmt::format("{}: {}", field, error.message()));
    }
  }

  std::vector<llm::TokenId> encode_plain(const std::string& text) {
    return text_ids(model_, text, rules_.parse_special, record_.source_lang, record_.target_lang);
  }

  // The prompt in whichever form it is given.
  void read_prompt(const ordered_json& object) {
    const int n_forms = object.contains("prompt") + object.contains("prompt_ids") + object.contains("messages");
    if (!rules_.line_template.empty()) {
      set_text_prompt(fill_template(rules_.line_template, object));
      for (const std::string_view name : work_fields) {
        if (object.contains(name)) record_.carried[std::string(name)] = object[std::string(name)];
      }
      if (rules_.plain_lines) record_.carried.erase("prompt");
      return;
    }
    if (n_forms > 1) throw RecordError("prompt", "prompt, prompt_ids and messages exclude each other");
    if (object.contains("messages")) {
      set_messages(object["messages"], object);
    } else if (object.contains("prompt_ids")) {
      record_.request.prompt = id_list("prompt_ids", object["prompt_ids"]);
      for (const llm::TokenId id : record_.request.prompt) {
        if (id >= model_.info().n_vocab_source)
          throw RecordError("prompt_ids", fmt::format("prompt_ids: {} is outside the vocabulary of {}", id,
                                                      model_.info().n_vocab_source));
      }
    } else if (object.contains("prompt")) {
      if (object["prompt"].is_array()) {
        record_.request.prompt = id_list("prompt", object["prompt"]);
      } else {
        set_text_prompt(string("prompt", object["prompt"]));
      }
    } else {
      throw RecordError("prompt", "prompt: missing; expected prompt, prompt_ids or messages");
    }
    if (record_.request.prompt.empty()) throw RecordError("prompt", "prompt: empty, nothing to continue");
  }

  void set_text_prompt(const std::string& text) {
    if (wants_chat(rules_.chat)) {
      record_.chat = true;
      record_.request.prompt = chat_prompt(model_, rules_.chat, text);
    } else {
      record_.request.prompt = encode_plain(text);
    }
    if (text.empty() && record_.request.prompt.size() <= 1)
      throw RecordError("prompt", "prompt: empty, nothing to continue");
  }

  void set_messages(const ordered_json& messages, const ordered_json& object) {
    if (!messages.is_array() || messages.empty()) wrong("messages", "an array of messages that is not empty", messages);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const std::string place = fmt::format("messages[{}]", i);
      if (!messages[i].is_object()) wrong(place, "an object with \"role\" and \"content\"", messages[i]);
      if (!messages[i].contains("role") || !messages[i]["role"].is_string())
        throw RecordError(place + ".role", place + ".role: expected a string");
    }
    record_.chat = true;
    ChatFlags chat = rules_.chat;
    ordered_json all = ordered_json::array();
    if (!chat.system.empty()) all.push_back({{"role", "system"}, {"content", chat.system}});
    for (const ordered_json& message : messages) all.push_back(message);
    for (const char* name : {"template_vars", "chat_template_kwargs"}) {
      if (object.contains(name)) chat.variables = dump(object[name]);
    }
    if (object.contains("tools") && !object["tools"].is_null()) chat.tools_json = dump(object["tools"]);
    try {
      record_.request.prompt = render_ids(model_, chat_template_of(model_, chat), all, chat);
    } catch (const llm::Error& error) {
      throw RecordError("messages", fmt::format("messages: {}", error.message()));
    }
  }

  void read_work(const ordered_json& object) {
    read_prompt(object);
    if (object.contains("choices")) {
      record_.kind = RecordKind::choices;
      record_.choices = strings("choices", object["choices"]);
      if (record_.choices.size() < 2) throw RecordError("choices", "choices: expected at least two texts");
      for (const std::string& choice : record_.choices) record_.choice_ids.push_back(continuation("choices", choice));
    } else if (rules_.score) {
      record_.kind = RecordKind::score;
      if (!object.contains("completion"))
        throw RecordError("completion", "completion: missing; --score needs prompt and completion");
      record_.completion = continuation("completion", string("completion", object["completion"]));
    } else if (rules_.embed) {
      record_.kind = RecordKind::embed;
    } else if (object.contains("completion")) {
      throw RecordError("completion", "completion: only scored with --score");
    }
    try {
      record_.request.sampling.validate();
    } catch (const llm::Error& error) {
      throw RecordError("sampling", error.message());
    }
    read_search();
  }

  // A search that the line does not ask for gives way to what it does ask for.
  void read_search() {
    llm::Request& request = record_.request;
    if (model_.info().is_encoder_decoder && record_.target_lang != rules_.target_lang) {
      set_target_language(model_, record_.target_lang, request);
    }
    const bool draws = request.sampling.temperature > 0 && rules_.defaults.beams.n > 1;
    const bool cannot_search =
        draws || request.constraint || !request.stop.empty() || !request.sampling.logit_bias.empty();
    if (!record_.beams_given && cannot_search) request.beams.n = 1;
  }

  std::vector<llm::TokenId> continuation(const std::string& field, const std::string& text) {
    std::vector<llm::TokenId> ids = tokenizer_of(model_).encode(text, {.parse_special = rules_.parse_special});
    if (ids.empty()) throw RecordError(field, field + ": empty, nothing to score");
    return ids;
  }

  const RecordRules& rules_;
  const llm::Model& model_;
  Record record_;
};

}  // namespace

Record parse_record(const std::string& line, const RecordRules& rules, const llm::Model& model) {
  try {
    return RecordParser(rules, model).parse(line);
  } catch (const llm::Error& error) {
    throw RecordError("", error.message());
  }
}

ordered_json carried_fields(const std::string& line, const RecordRules& rules, bool& openai) {
  ordered_json carried = ordered_json::object();
  openai = false;
  if (rules.plain_lines) return carried;
  ordered_json value;
  try {
    value = parse_json(line);
  } catch (const RecordError&) {
    return carried;
  }
  if (!value.is_object()) return carried;
  openai = value.contains("custom_id") && value.contains("body");
  if (openai) {
    carried["custom_id"] = value["custom_id"];
    return carried;
  }
  for (const auto& [field, content] : value.items()) {
    if (!is_one_of(field, work_fields) && option_setters().find(field) == option_setters().end())
      carried[field] = content;
  }
  return carried;
}

}  // namespace llmgen
