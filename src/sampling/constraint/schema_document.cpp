#include "sampling/constraint/schema_document.h"

#include <fmt/format.h>

#include <algorithm>

#include "sampling/constraint/formats.h"

namespace llm::sampling {
namespace {

Json parse(std::string_view text) {
  if (text.size() > max_source) {
    throw Error(ErrorCode::usage,
                fmt::format("json schema: {} bytes, at most {} are accepted", text.size(), max_source));
  }
  bool too_deep = false;
  const auto look = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > max_nesting) too_deep = true;
    return !too_deep;
  };
  try {
    Json json = Json::parse(text, look);
    if (too_deep) {
      throw Error(ErrorCode::usage, fmt::format("json schema: nested deeper than {}", max_nesting));
    }
    return json;
  } catch (const Json::parse_error& e) {
    throw Error(ErrorCode::usage, fmt::format("json schema: not JSON, at byte {}", e.byte));
  } catch (const Json::out_of_range&) {
    throw Error(ErrorCode::usage, "json schema: a number is larger than 1.8e308");
  }
}

std::string escape_pointer(std::string_view name) {
  std::string out;
  for (char c : name) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

int hex_value(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

std::string decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string number_text(const Json& number) {
  // dump() writes one digit more than needed now and then.
  return number.is_number_float() ? fmt::format("{}", number.get<double>()) : number.dump();
}

SchemaDocument::SchemaDocument(std::string_view text) : root_(parse(text)) {
  if (root_.is_object() && root_.contains("$schema") && root_["$schema"].is_string()) {
    const std::string draft = root_["$schema"].get<std::string>();
    for (const char* old : {"draft-03", "draft-04", "draft-06", "draft-07"}) {
      if (draft.find(old) != std::string::npos) ref_has_siblings_ = false;
    }
  }
  std::vector<std::pair<const Json*, std::string>> work = {{&root_, "#"}};
  while (!work.empty()) {
    const auto [value, place] = std::move(work.back());
    work.pop_back();
    if (value->is_object()) {
      const auto anchor = value->find("$anchor");
      if (anchor != value->end() && anchor->is_string()) anchors_.emplace(anchor->get<std::string>(), value);
      const auto id = value->find("$id");
      if (value != &root_ && id != value->end() && id->is_string()) inner_id_ = &*id;
      for (const auto& [name, item] : value->items()) {
        // Given values are no schemas.
        if (name == "const" || name == "enum") {
          paths_.emplace(&item, place + "/" + name);
          if (item.is_array()) {
            for (const Json& one : item) paths_.emplace(&one, place + "/" + name);
          }
        } else {
          work.emplace_back(&item, place + "/" + escape_pointer(name));
        }
      }
    } else if (value->is_array()) {
      for (std::size_t i = 0; i < value->size(); ++i) work.emplace_back(&(*value)[i], place + "/" + std::to_string(i));
    }
    paths_.emplace(value, place);
    budget_.spend(8 + place.size(), "json schema");
  }
}

std::string SchemaDocument::path(const Json& value) const {
  const auto found = paths_.find(&value);
  return found == paths_.end() ? "#" : found->second;
}

void SchemaDocument::refuse(const Json& value, std::string_view what) const {
  throw Error(ErrorCode::usage, fmt::format("json schema: {}: {}", path(value), what));
}

const Json& SchemaDocument::resolve(const Json& ref) const {
  if (!ref.is_string()) refuse(ref, "expected a string");
  if (inner_id_ != nullptr) refuse(*inner_id_, "references in a schema with several '$id' are not supported");
  std::string text = ref.get<std::string>();
  if (root_.is_object()) {
    const auto id = root_.find(root_.contains("$id") ? "$id" : "id");
    if (id != root_.end() && id->is_string()) {
      std::string base = id->get<std::string>();
      if (base.ends_with('#')) base.pop_back();
      if (!base.empty() && text.starts_with(base) && (text.size() == base.size() || text[base.size()] == '#')) {
        text = text.size() == base.size() ? "#" : text.substr(base.size());
      }
    }
  }
  if (!text.starts_with('#')) refuse(ref, fmt::format("'{}' is outside the schema, which is not supported", text));
  text = decode_percent(std::string_view(text).substr(1));
  if (!text.empty() && text[0] != '/') {
    const auto anchor = anchors_.find(text);
    if (anchor == anchors_.end()) refuse(ref, fmt::format("found no anchor '{}'", text));
    return *anchor->second;
  }
  try {
    return root_.at(Json::json_pointer(text));
  } catch (const Json::exception&) {
    refuse(ref, fmt::format("'#{}' is not in the schema", text));
  }
}

const Json& SchemaDocument::keep(Json schema, const Json& origin) {
  kept_.push_back(std::move(schema));
  paths_.emplace(&kept_.back(), path(origin));
  return kept_.back();
}

const Dfa& SchemaDocument::pattern(const std::string& source, const Json& where) {
  const auto [found, added] = patterns_.try_emplace(source);
  if (added) {
    const std::string what = fmt::format("json schema: {}", path(where));
    try {
      DfaBuilder builder(budget_, what);
      builder.add(parse_regex(source), 0, true);
      found->second = builder.build();
    } catch (const Error& e) {
      const std::string& message = e.message();
      patterns_.erase(found);
      if (message.starts_with(what)) throw;
      throw Error(e.code(), fmt::format("{}: {}", what, message));
    }
  }
  return found->second;
}

const Dfa* SchemaDocument::format(const std::string& name) {
  const std::optional<std::string> source = format_pattern(name);
  if (!source) return nullptr;
  const auto [found, added] = formats_.try_emplace(name);
  if (added) {
    DfaBuilder builder(budget_, "json schema: format");
    builder.add(parse_regex(*source), 0, false);
    found->second = builder.build();
  }
  return &found->second;
}

}  // namespace llm::sampling
