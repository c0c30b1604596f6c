#include "chat/tool_calls.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "chat/python_literals.h"
#include "chat/text_search.h"

namespace llm::chat {

namespace {

using nlohmann::ordered_json;

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != npos;
}
bool starts(std::string_view text, std::string_view part) {
  return text.substr(0, part.size()) == part;
}

// Text between two marks at or after `at`, which moves behind the second; the end of the text stands for a missing
// second mark if `open_ended`.
std::optional<std::string_view> between(std::string_view text, std::string_view open, std::string_view close,
                                        std::size_t& at, bool open_ended = false) {
  const std::size_t begin = text.find(open, at);
  if (begin == npos) return std::nullopt;
  const std::size_t inside = begin + open.size();
  std::size_t end = text.find(close, inside);
  if (end == npos) {
    if (!open_ended) return std::nullopt;
    at = text.size();
    return text.substr(inside);
  }
  at = end + close.size();
  return text.substr(inside, end - inside);
}

// Length of the JSON object or array that the text starts with; 0 if it has no end or nests deeper than 100.
std::size_t json_length(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > 100) return 0;
    } else if (c == '}' || c == ']') {
      if (--depth == 0) return i + 1;
    }
  }
  return 0;
}

ordered_json parse_json(std::string_view text) {
  text = trimmed(text);
  if (!text.empty() && (text[0] == '{' || text[0] == '[') && json_length(text) != text.size()) {
    return ordered_json(ordered_json::value_t::discarded);
  }
  return ordered_json::parse(text.begin(), text.end(), nullptr, false);
}

std::string dumped(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// The value of a parameter written as plain text: JSON if it is any but a string, else the text.
ordered_json plain_value(std::string_view text) {
  ordered_json value = parse_json(text);
  if (value.is_discarded() && !text.empty() && (text[0] == '{' || text[0] == '[')) {
    value = parse_python(text).value_or(std::move(value));
  }
  if (value.is_discarded() || value.is_string()) return std::string(text);
  return value;
}

using Calls = std::vector<ToolCall>;

// {"name", "arguments" or "parameters", "id"}, also within {"function": ...} or as "tool_name", or an array of them.
bool add_json_calls(const ordered_json& value, Calls& calls) {
  if (value.is_array()) {
    if (value.empty()) return false;
    return std::all_of(value.begin(), value.end(),
                       [&](const auto& one) { return one.is_object() && add_json_calls(one, calls); });
  }
  if (!value.is_object()) return false;
  if (value.contains("function") && value["function"].is_object()) {
    const bool added = add_json_calls(value["function"], calls);
    if (added && value.contains("id") && value["id"].is_string()) calls.back().id = value["id"].get<std::string>();
    return added;
  }
  const auto text = [&](std::initializer_list<const char*> names) -> std::string {
    for (const char* name : names) {
      if (value.contains(name) && value[name].is_string()) return value[name].get<std::string>();
    }
    return {};
  };
  ToolCall call;
  call.name = text({"name", "tool_name", "function"});
  call.id = text({"id", "tool_call_id"});
  if (call.name.empty()) return false;
  call.arguments_json = "{}";
  for (const char* name : {"arguments", "parameters", "args"}) {
    if (!value.contains(name)) continue;
    call.arguments_json = value[name].is_string() ? value[name].get<std::string>() : dumped(value[name]);
    calls.push_back(std::move(call));
    return true;
  }
  return false;
}

void add_call(Calls& calls, std::string_view name, const ordered_json& arguments, std::string id = {}) {
  calls.push_back({std::move(id), std::string(trimmed(name)), dumped(arguments)});
}

std::string_view without_edge_newlines(std::string_view text) {
  if (starts(text, "\n")) text.remove_prefix(1);
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return text;
}

// <function=NAME> with <parameter=KEY>VALUE</parameter>, or with a JSON object.
bool add_function_tags(std::string_view body, Calls& calls) {
  std::size_t at = 0;
  bool any = false;
  while (const auto function = between(body, "<function=", "</function>", at, true)) {
    const std::size_t end = function->find('>');
    if (end == npos) return any;
    const std::string_view inner = function->substr(end + 1);
    ordered_json arguments = parse_json(inner);
    if (!arguments.is_object()) {
      arguments = ordered_json::object();
      std::size_t position = 0;
      while (const auto parameter = between(inner, "<parameter=", "</parameter>", position)) {
        const std::size_t key = parameter->find('>');
        if (key == npos) break;
        arguments[std::string(parameter->substr(0, key))] =
            plain_value(without_edge_newlines(parameter->substr(key + 1)));
      }
    }
    add_call(calls, function->substr(0, end), arguments);
    any = true;
  }
  return any;
}

// NAME with <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value>
bool add_key_value_tags(std::string_view body, Calls& calls) {
  const std::string_view name = body.substr(0, std::min(body.find('<'), body.find('\n')));
  if (trimmed(name).empty()) return false;
  ordered_json arguments = ordered_json::object();
  std::size_t at = 0;
  while (const auto key = between(body, "<arg_key>", "</arg_key>", at)) {
    const auto value = between(body, "<arg_value>", "</arg_value>", at);
    if (!value) return false;
    arguments[std::string(trimmed(*key))] = plain_value(*value);
  }
  add_call(calls, name, arguments);
  return true;
}

// invoke name="NAME" with parameter name="KEY" [string="true"]; `prefix` stands before the tags' names.
bool add_invocations(std::string_view body, const std::string& prefix, Calls& calls) {
  std::size_t at = 0;
  bool any = false;
  while (const auto invocation = between(body, "<" + prefix + "invoke name=\"", "</" + prefix + "invoke>", at)) {
    const std::size_t end = invocation->find('"');
    if (end == npos) return any;
    ordered_json arguments = ordered_json::object();
    std::size_t position = 0;
    while (const auto parameter =
               between(*invocation, "<" + prefix + "parameter name=\"", "</" + prefix + "parameter>", position)) {
      const std::size_t key = parameter->find('"'), value = parameter->find('>');
      if (key == npos || value == npos || value < key) break;
      const std::string_view text = parameter->substr(value + 1);
      const bool is_string = has(parameter->substr(key, value - key), "string=\"true\"");
      arguments[std::string(parameter->substr(0, key))] =
          is_string ? ordered_json(std::string(text)) : plain_value(text);
    }
    add_call(calls, invocation->substr(0, end), arguments);
    any = true;
  }
  return any;
}

// call:NAME{key:value,...} with strings between <|"|>: made into JSON.
bool add_braced_call(std::string_view body, Calls& calls) {
  const std::size_t brace = body.find('{');
  if (!starts(body, "call:") || brace == npos) return false;
  constexpr std::string_view quote = "<|\"|>";
  std::string json;
  for (std::size_t at = brace; at < body.size();) {
    if (starts(body.substr(at), quote)) {
      const std::size_t end = body.find(quote, at + quote.size());
      if (end == npos) return false;
      json += dumped(std::string(body.substr(at + quote.size(), end - at - quote.size())));
      at = end + quote.size();
    } else if ((json.back() == '{' || json.back() == ',') && body[at] != '{' && body[at] != '}' && body[at] != '[') {
      const std::size_t colon = body.find_first_of(":,{}[]", at);
      if (colon != npos && body[colon] == ':') {
        json += dumped(std::string(body.substr(at, colon - at)));
        at = colon;
      } else {
        json += body[at++];
      }
    } else {
      json += body[at++];
    }
  }
  const ordered_json arguments = parse_json(json);
  if (!arguments.is_object()) return false;
  add_call(calls, body.substr(5, brace - 5), arguments);
  return true;
}

// NAME[CALL_ID]ID[ARGS]{...}, NAME[ARGS]{...} or NAME{...}
bool add_named_json(std::string_view body, Calls& calls) {
  const std::size_t brace = body.find('{');
  if (brace == npos) return false;
  std::string_view head = body.substr(0, brace);
  const std::size_t length = json_length(body.substr(brace));
  if (length == 0) return false;
  const ordered_json arguments = parse_json(body.substr(brace, length));
  if (!arguments.is_object()) return false;
  head = head.substr(0, head.find("[ARGS]"));
  const std::size_t id = head.find("[CALL_ID]");
  const std::string_view name = head.substr(0, id);
  if (trimmed(name).empty() || name.find_first_of("<>[]{}\"") != npos) return false;
  add_call(calls, name, arguments, id == npos ? std::string() : std::string(head.substr(id + 9)));
  return true;
}

bool add_calls(std::string_view body, Calls& calls) {
  body = trimmed(body);
  if (body.empty()) return false;
  if (body.back() == ')' || body.back() == ']') {
    if (const auto python = parse_python_calls(body)) {
      for (const auto& [name, arguments] : *python) add_call(calls, name, arguments);
      return true;
    }
  }
  if (body[0] == '{' || body[0] == '[') {
    if (add_json_calls(parse_json(body), calls)) return true;
    // Several objects, one after the other.
    bool any = false;
    while (!body.empty() && body[0] == '{') {
      const std::size_t length = json_length(body);
      if (length == 0 || !add_json_calls(parse_json(body.substr(0, length)), calls)) return any;
      any = true;
      body = trimmed(body.substr(length));
    }
    return any;
  }
  if (has(body, "<function=")) return add_function_tags(body, calls);
  if (has(body, "<invoke name=")) return add_invocations(body, "", calls);
  if (starts(body, "call:")) return add_braced_call(body, calls);
  if (has(body, "<arg_key>") || body.find_first_of("<{[") == npos) return add_key_value_tags(body, calls);
  return add_named_json(body, calls);
}

// Removes every OPEN ... CLOSE that holds calls.
void take_tagged(std::string& content, std::string_view open, std::string_view close, Calls& calls) {
  std::string kept;
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = content.find(open, at);
    if (begin == npos) break;
    std::size_t end = begin;
    const auto body = between(content, open, close, end, true);
    Calls found;
    if (body && add_calls(*body, found)) {
      kept += content.substr(at, begin - at);
      calls.insert(calls.end(), found.begin(), found.end());
      at = end;
    } else {
      kept += content.substr(at, begin + open.size() - at);
      at = begin + open.size();
    }
  }
  content = kept + content.substr(at);
}

// NAME and arguments between marks of their own: BEGIN [type SEPARATOR] NAME SEPARATOR arguments END.
void take_marked(std::string& content, std::string_view begin_mark, std::string_view separator,
                 std::string_view end_mark, std::initializer_list<std::string_view> sections, Calls& calls) {
  std::string kept;
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = content.find(begin_mark, at);
    if (begin == npos) break;
    std::size_t end = begin;
    const std::string_view body = *between(content, begin_mark, end_mark, end, true);
    const std::size_t split = body.find(separator);
    if (split == npos) break;
    std::string_view name = trimmed(body.substr(0, split)), rest = body.substr(split + separator.size());
    const std::size_t fence = rest.find("```json\n");
    if (fence != npos) {  // the name stands before a fenced block
      if (fence > 0) name = trimmed(rest.substr(0, fence));
      rest = rest.substr(fence + 8);
      rest = rest.substr(0, rest.rfind("```"));
    }
    const ordered_json arguments = parse_json(rest);
    if (!arguments.is_object()) break;
    std::string id;
    if (starts(name, "functions.")) {
      id = name;
      name.remove_prefix(10);
      name = name.substr(0, name.rfind(':'));
    }
    kept += content.substr(at, begin - at);
    add_call(calls, name, arguments, std::move(id));
    at = end;
  }
  content = kept + content.substr(at);
  for (const std::string_view section : sections) {
    const std::size_t found = content.find(section);
    if (found != npos && !calls.empty()) content.erase(found, section.size());
  }
}

// A whole answer that is one JSON call or a list of calls as in Python, perhaps behind a mark.
void take_bare_call(std::string& content, Calls& calls) {
  std::string_view body = trimmed(content);
  constexpr std::string_view mark = "<|python_tag|>";
  const std::size_t at = body.find(mark);
  if (at != npos) body = trimmed(body.substr(at + mark.size()));
  const bool is_python = at != npos || starts(body, "[");
  if (!starts(body, "{") && !(is_python && parse_python_calls(body)) && !starts(body, "[{")) return;
  Calls found;
  if (!add_calls(body, found)) return;
  calls.insert(calls.end(), found.begin(), found.end());
  content.resize(at == npos ? 0 : content.find(mark));
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(space);
  if (begin == npos) return {};
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

void take_tool_calls(std::string_view source, std::string& content, Calls& calls) {
  struct Tags {
    std::string_view open, close;
  };
  constexpr Tags tags[] = {
      {"<tool_call>", "</tool_call>"},
      {"<tool_calls>", "</tool_calls>"},
      {"<TOOLCALL>", "</TOOLCALL>"},
      {"<seed:tool_call>", "</seed:tool_call>"},
      {"<minimax:tool_call>", "</minimax:tool_call>"},
      {"<|tool_call>", "<tool_call|>"},
      {"<|tool_call_start|>", "<|tool_call_end|>"},
      {"<|START_ACTION|>", "<|END_ACTION|>"},
      {"<|tool_call|>", "<|end_of_text|>"},
      {"[TOOL_CALLS]", "[TOOL_CALLS]"},
      {" functools", "<|eot_id|>"},
      {"<|message_sep|>\n\nfunction call<|role_sep|>", "<|message_sep|>"},
      {"function call<|role_sep|>", "<|message_sep|>"},
      {"Action:\n```json", "```"},
      {"Action: ```json", "```"},
  };
  const std::size_t before = calls.size();
  for (const auto& [open, close] : tags) {
    const bool known = open.ends_with("function call<|role_sep|>")
                           ? has(source, "function call") && has(source, "<|role_sep|>")
                       : open == "<|tool_call_start|>" ? has(source, open) || has(source, "<|tool_list_start|>")
                                                       : has(source, trimmed(open.substr(0, open.find('`'))));
    if (!known || !has(content, open)) continue;
    if (open == "[TOOL_CALLS]") {  // each call, or the list of them, ends where the next begins
      const std::size_t first = content.find(open);
      std::string rest = content.substr(first);
      content.resize(first);
      for (std::size_t at = 0; at < rest.size();) {
        const std::size_t next = std::min(rest.find(open, at + 1), rest.size());
        const std::string_view one = std::string_view(rest).substr(at, next - at);
        if (!add_calls(one.substr(open.size()), calls)) content += one;
        at = next;
      }
    } else {
      take_tagged(content, open, close, calls);
    }
  }
  if (has(source, "<|tool_call_begin|>")) {
    take_marked(content, "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>",
                {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"}, calls);
  }
  if (has(source, "<｜tool▁call▁begin｜>") || has(source, "<｜tool▁calls▁begin｜>")) {
    take_marked(content, "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
                {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"}, calls);
  }
  const std::size_t dsml = content.find("<｜DSML｜");
  if (dsml != npos && has(source, "DSML") && add_invocations(content, "｜DSML｜", calls)) content.resize(dsml);
  const std::size_t function = content.find("<function=");
  if (function != npos && has(source, "<function=")) {
    if (add_function_tags(std::string_view(content).substr(function), calls)) content.resize(function);
  }
  if (calls.size() == before && has(source, "tool")) take_bare_call(content, calls);
  if (calls.size() != before) content = trimmed(content);
}

}  // namespace llm::chat
