#include "batch_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <map>

#include "options.h"
#include "report.h"
#include "translation.h"

namespace llmgen {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t max_stops = 64;
constexpr std::int64_t max_count = std::int64_t{1} << 30;

std::string kind_of(const ordered_json& value) {
  std::string text = value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  constexpr std::size_t longest = 40;
  if (text.size() > longest) {
    std::size_t end = longest - 3;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text = text.substr(0, end) + "...";
  }
  return value.is_null() ? text : fmt::format("{} {}", value.type_name(), text);
}

}  // namespace

void wrong_field(const std::string& field, const std::string& expected, const ordered_json& found) {
  throw RecordError(field, fmt::format("{}: expected {}, found {}", field, expected, kind_of(found)));
}

double number_in(const std::string& field, const ordered_json& value) {
  if (!value.is_number()) wrong_field(field, "a number", value);
  return value.get<double>();
}

std::int64_t whole_in(const std::string& field, const ordered_json& value, std::int64_t low, std::int64_t high) {
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high))
    wrong_field(field, expected, value);
  if (!value.is_number_integer()) wrong_field(field, expected, value);
  const auto n = value.get<std::int64_t>();
  if (n < low || n > high) wrong_field(field, expected, value);
  return n;
}

bool boolean_in(const std::string& field, const ordered_json& value) {
  if (!value.is_boolean()) wrong_field(field, "true or false", value);
  return value.get<bool>();
}

std::string string_in(const std::string& field, const ordered_json& value) {
  if (!value.is_string()) wrong_field(field, "a string", value);
  return value.get<std::string>();
}

std::vector<std::string> strings_in(const std::string& field, const ordered_json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array()) wrong_field(field, "a string or an array of strings", value);
  std::vector<std::string> items;
  for (const ordered_json& item : value) items.push_back(string_in(field, item));
  return items;
}

std::vector<llm::TokenId> ids_in(const std::string& field, const ordered_json& value) {
  if (!value.is_array()) wrong_field(field, "an array of token ids", value);
  std::vector<llm::TokenId> ids;
  ids.reserve(value.size());
  for (const ordered_json& item : value)
    ids.push_back(static_cast<llm::TokenId>(whole_in(field, item, 0, std::numeric_limits<llm::TokenId>::max())));
  return ids;
}

namespace {

using Setter = std::function<void(const std::string& field, const ordered_json& value, LineOptions& options)>;

template <class Member>
Setter sampling_float(Member member) {
  return [member](const std::string& field, const ordered_json& value, LineOptions& options) {
    options.request.sampling.*member = static_cast<float>(number_in(field, value));
  };
}

template <class Member>
Setter sampling_int(Member member) {
  return [member](const std::string& field, const ordered_json& value, LineOptions& options) {
    options.request.sampling.*member = static_cast<int>(whole_in(field, value, -1, max_count));
  };
}

template <class Member>
Setter request_bool(Member member) {
  return [member](const std::string& field, const ordered_json& value, LineOptions& options) {
    options.request.*member = boolean_in(field, value);
  };
}

Setter constraint(ConstraintText::Kind kind) {
  return [kind](const std::string& field, const ordered_json& value, LineOptions& options) {
    using Kind = ConstraintText::Kind;
    ConstraintText text{.kind = kind, .field = field, .texts = {}};
    if (kind == Kind::json_object) {
      if (!boolean_in(field, value)) return;
    } else if (kind == Kind::json_schema) {
      if (!value.is_string() && !value.is_object() && !value.is_boolean()) wrong_field(field, "a JSON schema", value);
      text.texts = {value.is_string() ? value.get<std::string>() : dump(value)};
    } else if (kind == Kind::choice && value.is_array()) {
      text.texts = strings_in(field, value);
    } else if (kind == Kind::choice) {
      text.texts = split_list(string_in(field, value), ",");
    } else {
      text.texts = {string_in(field, value)};
    }
    if (options.constraint) {
      throw RecordError(
          field, fmt::format("{}: there is {} already, they exclude each other", field, options.constraint->field));
    }
    options.constraint = std::move(text);
  };
}

void set_max_tokens(const std::string& field, const ordered_json& value, LineOptions& options) {
  options.request.max_tokens = static_cast<int>(whole_in(field, value, -1, max_count));
}

void set_greedy(const std::string& field, const ordered_json& value, LineOptions& options) {
  if (boolean_in(field, value)) options.request.sampling.temperature = 0;
}

void set_seed(const std::string& field, const ordered_json& value, LineOptions& options) {
  if (value.is_null()) return;
  if (!value.is_number_unsigned()) {
    wrong_field(field, fmt::format("a whole number from 0 to {}", std::numeric_limits<std::uint64_t>::max()), value);
  }
  options.request.sampling.seed = value.get<std::uint64_t>();
}

void set_stop(const std::string& field, const ordered_json& value, LineOptions& options) {
  if (value.is_null()) return;
  options.request.stop = strings_in(field, value);
  if (options.request.stop.size() > max_stops) {
    throw RecordError(
        field, fmt::format("{}: expected at most {} texts, found {}", field, max_stops, options.request.stop.size()));
  }
}

void set_samplers(const std::string& field, const ordered_json& value, LineOptions& options) {
  options.request.sampling.samplers =
      value.is_array() ? strings_in(field, value) : split_list(string_in(field, value), ";,");
}

void set_logprobs(const std::string& field, const ordered_json& value, LineOptions& options) {
  if (value.is_boolean()) {
    options.logprobs = value.get<bool>();
  } else if (!value.is_null()) {
    options.top_logprobs = static_cast<int>(whole_in(field, value, 0, 1000));
    options.logprobs = true;
  }
}

void set_top_logprobs(const std::string& field, const ordered_json& value, LineOptions& options) {
  if (!value.is_null()) options.top_logprobs = static_cast<int>(whole_in(field, value, 0, 1000));
}

// {"15": 1.5}, [[15, 1.5]], or as the flag has it: "15+1.5", ["15-inf"].
void set_logit_bias(const std::string& field, const ordered_json& value, LineOptions& options) {
  auto& biases = options.request.sampling.logit_bias;
  if (value.is_object()) {
    for (const auto& [id, bias] : value.items()) {
      const auto ids = parse_ids(id, field);
      if (ids.size() != 1) throw RecordError(field, fmt::format("{}: '{}' is no token id", field, id));
      biases.emplace_back(ids[0], static_cast<float>(number_in(field, bias)));
    }
    return;
  }
  const auto add = [&](const ordered_json& item) {
    if (item.is_string()) {
      biases.push_back(parse_bias(item.get<std::string>(), field));
    } else if (item.is_array() && item.size() == 2) {
      const auto id = static_cast<llm::TokenId>(whole_in(field, item[0], 0, std::numeric_limits<llm::TokenId>::max()));
      biases.emplace_back(id, static_cast<float>(number_in(field, item[1])));
    } else {
      wrong_field(field, "an object of token id to bias", value);
    }
  };
  if (value.is_array()) {
    for (const ordered_json& item : value) add(item);
  } else {
    add(value);
  }
}

void set_response_format(const std::string& field, const ordered_json& value, LineOptions& options) {
  if (!value.is_object() || !value.contains("type")) wrong_field(field, "an object with \"type\"", value);
  const std::string type = string_in(field + ".type", value["type"]);
  if (type == "json_object") {
    constraint(ConstraintText::Kind::json_object)(field, true, options);
  } else if (type == "json_schema") {
    const ordered_json* schema = value.contains("json_schema") ? &value["json_schema"] : nullptr;
    if (schema != nullptr && schema->is_object() && schema->contains("schema")) schema = &(*schema)["schema"];
    if (schema == nullptr) throw RecordError(field, field + ": \"json_schema\" is missing");
    constraint(ConstraintText::Kind::json_schema)(field, *schema, options);
  } else if (type != "text") {
    throw RecordError(field,
                      fmt::format("{}.type: expected text, json_object or json_schema, found '{}'", field, type));
  }
}

const std::map<std::string, Setter, std::less<>>& option_setters() {
  using S = llm::SamplingOptions;
  using R = llm::Request;
  using Kind = ConstraintText::Kind;
  static const std::map<std::string, Setter, std::less<>> setters = {
      {"n", set_max_tokens},
      {"max_tokens", set_max_tokens},
      {"n_predict", set_max_tokens},
      {"max_completion_tokens", set_max_tokens},
      {"seed", set_seed},
      {"temp", sampling_float(&S::temperature)},
      {"temperature", sampling_float(&S::temperature)},
      {"greedy", set_greedy},
      {"top_k", sampling_int(&S::top_k)},
      {"top_p", sampling_float(&S::top_p)},
      {"min_p", sampling_float(&S::min_p)},
      {"typical_p", sampling_float(&S::typical_p)},
      {"top_n_sigma", sampling_float(&S::top_n_sigma)},
      {"repeat_penalty", sampling_float(&S::repeat_penalty)},
      {"repetition_penalty", sampling_float(&S::repeat_penalty)},
      {"repeat_last_n", sampling_int(&S::repeat_last_n)},
      {"presence_penalty", sampling_float(&S::presence_penalty)},
      {"frequency_penalty", sampling_float(&S::frequency_penalty)},
      {"xtc_probability", sampling_float(&S::xtc_probability)},
      {"xtc_threshold", sampling_float(&S::xtc_threshold)},
      {"dry_multiplier", sampling_float(&S::dry_multiplier)},
      {"dry_base", sampling_float(&S::dry_base)},
      {"dry_allowed_length", sampling_int(&S::dry_allowed_length)},
      {"dry_last_n", sampling_int(&S::dry_last_n)},
      {"dry_breakers",
       [](const auto& f, const auto& v, LineOptions& o) { o.request.sampling.dry_breakers = strings_in(f, v); }},
      {"dynatemp_range", sampling_float(&S::dynatemp_range)},
      {"dynatemp_exponent", sampling_float(&S::dynatemp_exponent)},
      {"mirostat", sampling_int(&S::mirostat)},
      {"mirostat_tau", sampling_float(&S::mirostat_tau)},
      {"mirostat_eta", sampling_float(&S::mirostat_eta)},
      {"adaptive_target", sampling_float(&S::adaptive_target)},
      {"adaptive_decay", sampling_float(&S::adaptive_decay)},
      {"samplers", set_samplers},
      {"logit_bias", set_logit_bias},
      {"stop", set_stop},
      {"ignore_eos", request_bool(&R::ignore_eos)},
      {"special", request_bool(&R::special)},
      {"logprobs", set_logprobs},
      {"top_logprobs", set_top_logprobs},
      {"lookup", [](const auto& f, const auto& v,
                    LineOptions& o) { o.request.lookup = static_cast<int>(whole_in(f, v, 0, 64)); }},
      {"beams",
       [](const auto& f, const auto& v, LineOptions& o) {
         o.request.beams.n = static_cast<int>(whole_in(f, v, 1, 64));
         o.beams_given = true;
       }},
      {"length_penalty", [](const auto& f, const auto& v,
                            LineOptions& o) { o.request.beams.length_penalty = static_cast<float>(number_in(f, v)); }},
      {"early_stopping",
       [](const auto& f, const auto& v, LineOptions& o) {
         o.request.beams.stop = parse_beam_stop(v.is_boolean() ? dump(v) : string_in(f, v), f);
       }},
      {"source_lang", [](const auto& f, const auto& v, LineOptions& o) { o.source_lang = string_in(f, v); }},
      {"target_lang", [](const auto& f, const auto& v, LineOptions& o) { o.target_lang = string_in(f, v); }},
      {"decoder_ids", [](const auto& f, const auto& v, LineOptions& o) { o.request.decoder_prompt = ids_in(f, v); }},
      {"json_schema", constraint(Kind::json_schema)},
      {"schema", constraint(Kind::json_schema)},
      {"json_object", constraint(Kind::json_object)},
      {"lax", [](const auto& f, const auto& v, LineOptions& o) { o.lax = boolean_in(f, v); }},
      {"regex", constraint(Kind::regex)},
      {"choice", constraint(Kind::choice)},
      {"grammar", constraint(Kind::grammar)},
      {"response_format", set_response_format},
  };
  return setters;
}

const Setter* find_setter(std::string_view field) {
  const auto& setters = option_setters();
  auto found = setters.find(field);
  if (found == setters.end() && field.find('-') != std::string_view::npos) {
    std::string name(field);
    std::replace(name.begin(), name.end(), '-', '_');
    found = setters.find(name);
  }
  return found == setters.end() ? nullptr : &found->second;
}

// Names that other programs have for these options.
const std::map<std::string, std::string, std::less<>>& foreign_names() {
  static const std::map<std::string, std::string, std::less<>> names = {
      {"max_new_tokens", "max_tokens"}, {"max_length", "max_tokens"}, {"num_predict", "max_tokens"},
      {"stop_sequences", "stop"},       {"n_probs", "logprobs"},      {"do_sample", "temp"},
      {"num_return_sequences", "n"},
  };
  return names;
}

// Letters and digits alone, in lower case.
std::string bare(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c != '_' && c != '-') letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return letters;
}

// One letter missing, added, changed or swapped with its neighbour.
bool is_one_slip(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) return is_one_slip(b, a);
  if (b.size() - a.size() > 1) return false;
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin());
  if (a.size() < b.size()) return std::equal(x, a.end(), y + 1, b.end());
  if (x == a.end()) return true;
  if (std::equal(x + 1, a.end(), y + 1)) return true;
  return a.end() - x >= 2 && *x == *(y + 1) && *(x + 1) == *y && std::equal(x + 2, a.end(), y + 2);
}

}  // namespace

bool set_option(const std::string& field, const ordered_json& value, LineOptions& options) {
  const Setter* setter = find_setter(field);
  if (setter == nullptr) return false;
  try {
    (*setter)(field, value, options);
    options.request.sampling.validate();
  } catch (const llm::Error& error) {
    // The library names the option in its own way; the line has its name.
    std::string message = error.message();
    if (const std::size_t colon = message.find(": "); colon != std::string::npos && is_option(message.substr(0, colon)))
      message = message.substr(colon + 2);
    throw RecordError(field, fmt::format("{}: {}", field, message));
  }
  return true;
}

bool is_option(std::string_view field) {
  return find_setter(field) != nullptr;
}

std::string nearest_option(std::string_view field) {
  constexpr std::size_t shortest = 5;  // shorter names are near to too many others
  if (const auto foreign = foreign_names().find(field); foreign != foreign_names().end()) return foreign->second;
  const std::string letters = bare(field);
  std::string plain(field);
  std::replace(plain.begin(), plain.end(), '-', '_');
  for (const auto& [name, setter] : option_setters()) {
    if (letters.size() > 3 && letters == bare(name)) return name;
    if (field.size() >= shortest && name.size() >= shortest && is_one_slip(plain, name)) return name;
  }
  return {};
}

}  // namespace llmgen
