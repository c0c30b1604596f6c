#include "tokenizer/config_json.h"

#include <llm/error.hpp>
#include <utility>

namespace llm::tokenizer {

using nlohmann::json;

const json& member_of(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

std::string text_or(const json& object, const char* name, std::string otherwise) {
  const json& value = member_of(object, name);
  return value.is_string() ? value.get<std::string>() : std::move(otherwise);
}

bool flag_or(const json& object, const char* name, bool otherwise) {
  const json& value = member_of(object, name);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

std::int64_t number_or(const json& object, const char* name, std::int64_t otherwise) {
  const json& value = member_of(object, name);
  return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
}

json parse_object(std::string_view text, const std::string& place) {
  if (text.empty()) return json::object();
  json object = json::parse(text, nullptr, false);
  if (!object.is_object()) throw Error(ErrorCode::model, place + ": expected a JSON object");
  return object;
}

}  // namespace llm::tokenizer
