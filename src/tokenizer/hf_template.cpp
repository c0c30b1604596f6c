#include <fmt/format.h>

#include <map>

#include "tokenizer/hf_json.h"

namespace llm::tokenizer::hf {

namespace {

using Ids = std::map<std::string, std::vector<TokenId>>;

std::vector<TemplateItem> template_items(const Part& part, const char* name, const Ids& ids) {
  std::vector<TemplateItem> items;
  for (const Part& item : part.items(name)) {
    if (item.has("Sequence")) {
      const std::string id = item.at("Sequence").text("id");
      if (id != "A" && id != "B") item.fail("sequence '" + id + "', expected A or B");
      items.push_back({kNoToken, id == "A" ? 0 : 1});
    } else {
      const std::string id = item.at("SpecialToken").text("id");
      const auto found = ids.find(id);
      if (found == ids.end()) item.fail("special token '" + id + "' has no ids");
      for (const TokenId token : found->second) items.push_back({token, -1});
    }
  }
  return items;
}

TokenId checked_id(const Json& json, const Part& part) {
  if (!json.is_number_integer()) part.fail("expected a token id");
  const auto id = json.get<std::int64_t>();
  if (id < 0 || id > std::numeric_limits<TokenId>::max()) part.fail(fmt::format("token id {}", id));
  return static_cast<TokenId>(id);
}

Template template_processing(const Part& part) {
  Ids ids;
  if (part.has("special_tokens")) {
    const Part tokens = part.at("special_tokens");
    if (!tokens.json().is_object()) tokens.fail("expected an object");
    for (const auto& [name, json] : tokens.json().items()) {
      const Part token(json, fmt::format("{}.{}", tokens.place(), name));
      for (const Part& id : token.items("ids")) ids[name].push_back(checked_id(id.json(), id));
    }
  }
  return {template_items(part, "single", ids), template_items(part, "pair", ids)};
}

// ["text", id]
TokenId pair_id(const Part& part, const char* name) {
  const std::vector<Part> items = part.items(name);
  if (items.size() != 2) part.fail(fmt::format("{}: expected a text and an id", name));
  return checked_id(items[1].json(), items[1]);
}

}  // namespace

Template make_template(const Part& part) {
  Template result;
  if (part.is_null()) return result;
  const std::string type = part.type();
  if (type == "ByteLevel") return result;
  if (type == "TemplateProcessing") return template_processing(part);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    const TemplateItem cls{pair_id(part, "cls"), -1}, sep{pair_id(part, "sep"), -1};
    const TemplateItem a{kNoToken, 0}, b{kNoToken, 1};
    result.single = {cls, a, sep};
    result.pair = type == "BertProcessing" ? std::vector{cls, a, sep, b, sep} : std::vector{cls, a, sep, sep, b, sep};
    return result;
  }
  if (type == "Sequence") {
    // The last one that adds tokens counts; ByteLevel only changes offsets.
    int n_templates = 0;
    for (const Part& item : part.items("processors")) {
      if (item.type() == "ByteLevel") continue;
      result = make_template(item);
      ++n_templates;
    }
    if (n_templates > 1) part.fail("more than one processor that adds tokens");
    return result;
  }
  part.fail("unknown post-processor '" + type + "'");
}

}  // namespace llm::tokenizer::hf
