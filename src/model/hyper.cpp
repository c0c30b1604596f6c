#include "model/hyper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <llm/error.hpp>
#include <nlohmann/json.hpp>

#include "formats/quote.h"
#include "model/inert_keys.h"

namespace llm::model {
namespace {

using nlohmann::json;

// JSON with the numbers that Python writes beside it: Infinity is the largest float here, NaN is null.
json parse_config(std::string_view text) {
  json config = json::parse(text, nullptr, false);
  if (!config.is_discarded()) return config;
  constexpr std::pair<std::string_view, std::string_view> names[] = {{"Infinity", "3.402823466e+38"}, {"NaN", "null"}};
  std::string plain;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
    const auto* name = std::find_if(std::begin(names), std::end(names),
                                    [&](const auto& known) { return text.substr(i).starts_with(known.first); });
    if (quoted || name == std::end(names)) {
      plain += text[i];
    } else {
      plain += name->second;
      i += name->first.size() - 1;
    }
  }
  return json::parse(plain, nullptr, false);
}

std::string describe(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::string describe(const formats::Metadata::Entry& entry) {
  struct Visitor {
    std::string operator()(std::uint64_t v) const { return fmt::format("{}", v); }
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::string_view v) const { return formats::quote(v); }
    std::string operator()(const formats::ArrayView& v) const { return fmt::format("array of {}", v.count); }
  };
  return std::visit(Visitor{}, entry.value);
}

}  // namespace

// A value where it was found.
struct Hyper::Found {
  std::string name;
  const json* value = nullptr;                      // Hugging Face
  const formats::Metadata::Entry* entry = nullptr;  // GGUF

  std::string shown() const { return value != nullptr ? describe(*value) : describe(*entry); }
};

Hyper::Hyper(const formats::WeightsFile& file) : file_(file), gguf_(file.kind() == formats::SourceKind::gguf) {
  if (gguf_) {
    architecture_ = std::string(file.metadata().require_string("general.architecture"));
    prefix_ = architecture_ + ".";
  } else {
    config_ = std::make_unique<json>(parse_config(file.config_json()));
    if (!config_->is_object()) {
      throw Error(ErrorCode::model, fmt::format("{}: config.json is no JSON object", file.path()));
    }
    const json* type = find_json("model_type");
    if (type == nullptr || !type->is_string()) {
      throw Error(ErrorCode::model, fmt::format("{}: config.json has no model_type, expected a string", file.path()));
    }
    architecture_ = type->get<std::string>();
  }
  // Read first: arrays with one value a layer are checked against it.
  const bool encoder_decoder = !gguf_ && (has({"", {"encoder_layers"}}) || has({"", {"decoder_layers"}}));
  if (!encoder_decoder) {
    n_layer_ = static_cast<int>(integer(keys::n_layer, 1, max_layers));
  }
}

Hyper::~Hyper() = default;

const json* Hyper::find_json(std::string_view path) const {
  const json* at = config_.get();
  while (true) {
    const std::size_t dot = path.find('.');
    if (!at->is_object()) return nullptr;
    const auto found = at->find(path.substr(0, dot));
    if (found == at->end() || found->is_null()) return nullptr;
    at = &*found;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

std::optional<Hyper::Found> Hyper::find(const Key& key) const {
  if (gguf_) {
    if (key.gguf.empty()) return std::nullopt;
    std::string name = prefix_ + std::string(key.gguf);
    const auto& entries = file_.metadata().entries();
    const auto found = entries.find(name);
    if (found == entries.end()) return std::nullopt;
    used_.insert(name);
    return Found{std::move(name), nullptr, &found->second};
  }
  std::optional<Found> result;
  for (const std::string_view path : key.hugging_face) {
    if (path.empty()) continue;
    used_.emplace(path);
    if (result) continue;
    if (const json* value = find_json(path)) result = Found{std::string(path), value, nullptr};
  }
  return result;
}

void Hyper::answer(const Key& key, Answer value) const {
  if (!gguf_ && !key.gguf.empty()) answers_.insert_or_assign(std::string(key.gguf), std::move(value));
}

void Hyper::answer_at(const Key& key, int layer, std::int64_t value) const {
  if (gguf_ || key.gguf.empty()) return;
  Answer& all = answers_[std::string(key.gguf)];
  if (!std::holds_alternative<std::vector<std::int64_t>>(all)) {
    all = std::vector<std::int64_t>(static_cast<std::size_t>(n_layer_), 0);
  }
  std::get<std::vector<std::int64_t>>(all)[static_cast<std::size_t>(layer)] = value;
}

std::string Hyper::name_of(const Key& key) const {
  if (gguf_) return prefix_ + std::string(key.gguf);
  return std::string(key.hugging_face[0].empty() ? key.gguf : key.hugging_face[0]);
}

bool Hyper::has(const Key& key) const {
  return find(key).has_value();
}
void Hyper::use(const Key& key) const {
  find(key);
}

bool Hyper::is_null(const Key& key) const {
  if (gguf_) return false;
  const auto found = config_->find(std::string(key.hugging_face[0]));
  return found != config_->end() && found->is_null();
}

void Hyper::fail(const Key& key, const std::string& found, const std::string& expected) const {
  const std::optional<Found> at = find(key);
  throw Error(ErrorCode::model,
              fmt::format("{}: key {}: {}, expected {}", file_.path(), at ? at->name : name_of(key), found, expected));
}

namespace {

// An integer in a JSON value or metadata entry; nullopt if it is none.
std::optional<std::int64_t> as_integer(const json& value) {
  if (value.is_number_unsigned()) {
    const std::uint64_t v = value.get<std::uint64_t>();
    if (v > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(v);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double v = value.get<double>();
    if (std::floor(v) == v && std::fabs(v) < 9e15) return static_cast<std::int64_t>(v);
  }
  return std::nullopt;
}

std::optional<std::int64_t> as_integer(const formats::Value& value) {
  if (const auto* v = std::get_if<std::int64_t>(&value)) return *v;
  if (const auto* v = std::get_if<std::uint64_t>(&value)) {
    if (*v > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(*v);
  }
  return std::nullopt;
}

std::optional<double> as_number(const json& value) {
  if (value.is_number()) return value.get<double>();
  return std::nullopt;
}

std::optional<double> as_number(const formats::Value& value) {
  if (const auto* v = std::get_if<double>(&value)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&value)) return static_cast<double>(*v);
  if (const auto* v = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*v);
  return std::nullopt;
}

std::string range(std::int64_t low, std::int64_t high) {
  if (high == Hyper::max_count) return fmt::format("an integer of at least {}", low);
  return fmt::format("an integer from {} to {}", low, high);
}

}  // namespace

std::int64_t Hyper::integer(const Key& key, std::int64_t low, std::int64_t high) const {
  const std::optional<Found> found = find(key);
  if (!found) fail(key, "missing", range(low, high));
  const std::optional<std::int64_t> v =
      found->value != nullptr ? as_integer(*found->value) : as_integer(found->entry->value);
  if (!v || *v < low || *v > high) fail(key, found->shown(), range(low, high));
  answer(key, *v);
  return *v;
}

std::int64_t Hyper::integer_or(const Key& key, std::int64_t otherwise, std::int64_t low, std::int64_t high) const {
  if (has(key)) return integer(key, low, high);
  answer(key, otherwise);
  return otherwise;
}

bool Hyper::is_array(const Key& key) const {
  const std::optional<Found> found = find(key);
  if (!found) return false;
  return found->value != nullptr ? found->value->is_array()
                                 : std::holds_alternative<formats::ArrayView>(found->entry->value);
}

bool Hyper::is_text(const Key& key) const {
  const std::optional<Found> found = find(key);
  if (!found) return false;
  return found->value != nullptr ? found->value->is_string()
                                 : std::holds_alternative<std::string_view>(found->entry->value);
}

std::int64_t Hyper::integer_at(const Key& key, int layer, std::int64_t low, std::int64_t high) const {
  if (!is_array(key)) return integer(key, low, high);
  const std::optional<Found> found = find(key);
  const std::string expected = fmt::format("{} for each of {} layers", range(low, high), n_layer_);
  std::optional<std::int64_t> v;
  if (found->value != nullptr) {
    if (found->value->size() != static_cast<std::size_t>(n_layer_)) {
      fail(key, fmt::format("array of {}", found->value->size()), expected);
    }
    v = as_integer((*found->value)[static_cast<std::size_t>(layer)]);
  } else {
    const formats::ArrayView& array = std::get<formats::ArrayView>(found->entry->value);
    if (array.count != static_cast<std::uint64_t>(n_layer_)) fail(key, found->shown(), expected);
    if (array.item_type == formats::ValueType::boolean) {
      const std::optional<std::vector<bool>> items = file_.metadata().find_bools(found->name);
      v = (*items)[static_cast<std::size_t>(layer)] ? 1 : 0;
    } else {
      const std::optional<std::vector<std::int64_t>> items = file_.metadata().find_ints(found->name);
      v = (*items)[static_cast<std::size_t>(layer)];
    }
  }
  if (!v || *v < low || *v > high) fail(key, v ? fmt::format("{} for layer {}", *v, layer) : found->shown(), expected);
  answer_at(key, layer, *v);
  return *v;
}

std::int64_t Hyper::integer_at_or(const Key& key, int layer, std::int64_t otherwise, std::int64_t low,
                                  std::int64_t high) const {
  if (has(key)) return integer_at(key, layer, low, high);
  answer(key, otherwise);
  return otherwise;
}

double Hyper::number(const Key& key, double low) const {
  const std::string expected = low == -largest ? "a number" : fmt::format("a number of at least {}", low);
  const std::optional<Found> found = find(key);
  if (!found) fail(key, "missing", expected);
  const std::optional<double> v = found->value != nullptr ? as_number(*found->value) : as_number(found->entry->value);
  if (!v || !(*v >= low) || !(*v <= largest)) fail(key, found->shown(), expected);
  answer(key, *v);
  return *v;
}

double Hyper::number_or(const Key& key, double otherwise, double low) const {
  if (has(key)) return number(key, low);
  answer(key, otherwise);
  return otherwise;
}

bool Hyper::flag_or(const Key& key, bool otherwise) const {
  const std::optional<Found> found = find(key);
  if (!found) {
    answer(key, otherwise);
    return otherwise;
  }
  if (found->value != nullptr) {
    if (!found->value->is_boolean()) fail(key, found->shown(), "true or false");
    const bool value = found->value->get<bool>();
    answer(key, value);
    return value;
  }
  if (const auto* v = std::get_if<bool>(&found->entry->value)) return *v;
  const std::optional<std::int64_t> v = as_integer(found->entry->value);
  if (!v || *v < 0 || *v > 1) fail(key, found->shown(), "true or false");
  return *v == 1;
}

std::optional<std::string> Hyper::text(const Key& key) const {
  const std::optional<Found> found = find(key);
  if (!found) return std::nullopt;
  if (found->value != nullptr) {
    if (!found->value->is_string()) fail(key, found->shown(), "a string");
    return found->value->get<std::string>();
  }
  const auto* v = std::get_if<std::string_view>(&found->entry->value);
  if (v == nullptr) fail(key, found->shown(), "a string");
  return std::string(*v);
}

std::string Hyper::text_or(const Key& key, std::string_view otherwise) const {
  return text(key).value_or(std::string(otherwise));
}

std::optional<std::vector<double>> Hyper::numbers(const Key& key) const {
  const std::optional<Found> found = find(key);
  if (!found) return std::nullopt;
  std::vector<double> result;
  if (found->value == nullptr) {
    const std::optional<std::vector<float>> items = file_.metadata().find_floats(found->name);
    result.assign(items->begin(), items->end());
  } else {
    if (!found->value->is_array()) fail(key, found->shown(), "an array of numbers");
    for (const json& item : *found->value) {
      if (!item.is_number()) fail(key, found->shown(), "an array of numbers");
      result.push_back(item.get<double>());
    }
  }
  for (const double v : result) {
    if (!(std::fabs(v) <= largest)) fail(key, fmt::format("{}", v), "finite numbers");
  }
  return result;
}

std::optional<std::vector<std::string>> Hyper::texts(const Key& key) const {
  const std::optional<Found> found = find(key);
  if (!found) return std::nullopt;
  std::vector<std::string> result;
  if (found->value == nullptr) {
    const std::optional<std::vector<std::string_view>> items = file_.metadata().find_strings(found->name);
    result.assign(items->begin(), items->end());
    return result;
  }
  if (!found->value->is_array()) fail(key, found->shown(), "an array of strings");
  for (const json& item : *found->value) {
    if (!item.is_string()) fail(key, found->shown(), "an array of strings");
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::vector<std::string> Hyper::repeated_texts(const Key& key) const {
  const std::optional<Found> found = find(key);
  std::vector<std::string> result;
  if (!found || found->value == nullptr || !found->value->is_array()) return result;
  const std::string expected = "pairs of names and a count";
  for (const json& pair : *found->value) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_array() || !pair[1].is_number_unsigned()) {
      fail(key, found->shown(), expected);
    }
    const std::uint64_t count = pair[1].get<std::uint64_t>();
    if (count > static_cast<std::uint64_t>(max_layers)) fail(key, found->shown(), expected);
    for (std::uint64_t i = 0; i < count; ++i) {
      for (const json& name : pair[0]) {
        if (!name.is_string()) fail(key, found->shown(), expected);
        result.push_back(name.get<std::string>());
      }
    }
  }
  return result;
}

void Hyper::expect_flag(const Key& key, bool value, std::string_view why) const {
  if (flag_or(key, value) != value) {
    fail(key, value ? "false" : "true", fmt::format("{} ({})", value ? "true" : "false", why));
  }
}

void Hyper::add_unused(const json& object, const std::string& scope, std::vector<std::string>& unused) const {
  for (const auto& [name, value] : object.items()) {
    const std::string path = scope + name;
    if (value.is_null() || is_inert_config_key(name)) continue;
    if (value.is_object()) {
      const std::string inner = path + ".";
      const auto first = used_.lower_bound(inner);
      const bool as_a_whole = used_.contains(path) && (first == used_.end() || !first->starts_with(inner));
      if (!as_a_whole) add_unused(value, inner, unused);
    } else if (!used_.contains(path)) {
      unused.push_back(path);
    }
  }
}

std::vector<std::string> Hyper::unused_keys() const {
  std::vector<std::string> unused;
  if (gguf_) {
    for (const auto& [name, entry] : file_.metadata().entries()) {
      if (!name.starts_with(prefix_) || used_.contains(name)) continue;
      if (!is_inert_gguf_key(std::string_view(name).substr(prefix_.size()))) unused.push_back(name);
    }
    return unused;
  }
  add_unused(*config_, "", unused);
  return unused;
}

}  // namespace llm::model
