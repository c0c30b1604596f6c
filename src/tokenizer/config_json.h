#ifndef TOKENIZER_CONFIG_JSON_H
#define TOKENIZER_CONFIG_JSON_H

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

// Members of the small JSON files beside a vocabulary, whatever is wrong with them.
namespace llm::tokenizer {

// Null for anything that is no object and for an absent member.
const nlohmann::json& member_of(const nlohmann::json& object, const char* name);
// `otherwise` for a member that is absent or of another type.
std::string text_or(const nlohmann::json& object, const char* name, std::string otherwise);
bool flag_or(const nlohmann::json& object, const char* name, bool otherwise);
std::int64_t number_or(const nlohmann::json& object, const char* name, std::int64_t otherwise);
// An empty object for an empty text; Error(model) with the place if the text is no JSON object.
nlohmann::json parse_object(std::string_view text, const std::string& place);

}  // namespace llm::tokenizer

#endif
