#include "tokenizer/hf_json.h"

#include <fmt/format.h>

#include <algorithm>

namespace llm::tokenizer::hf {

namespace {

constexpr std::ptrdiff_t kDeepestNesting = 16;

}  // namespace

void Part::fail(std::string_view what) const {
  throw Error(ErrorCode::model, fmt::format("{}: {}", place_, what));
}

bool Part::has(const char* name) const {
  const auto found = json_->is_object() ? json_->find(name) : json_->end();
  return json_->is_object() && found != json_->end() && !found->is_null();
}

Part Part::at(const char* name) const {
  if (!has(name)) fail(fmt::format("no member '{}'", name));
  return {*json_->find(name), fmt::format("{}.{}", place_, name)};
}

std::vector<Part> Part::items(const char* name) const {
  const Part array = at(name);
  if (!array.json().is_array()) array.fail("expected an array");
  if (std::count(place_.begin(), place_.end(), '[') >= kDeepestNesting) fail("nested too deeply");
  std::vector<Part> parts;
  for (std::size_t i = 0; i < array.json().size(); ++i) {
    parts.emplace_back(array.json()[i], fmt::format("{}[{}]", array.place(), i));
  }
  return parts;
}

std::string Part::text(const char* name) const {
  const Part member = at(name);
  if (!member.json().is_string()) member.fail("expected a string");
  return member.json().get<std::string>();
}

std::string Part::text_or(const char* name, std::string fallback) const {
  return has(name) ? text(name) : std::move(fallback);
}

bool Part::flag_or(const char* name, bool fallback) const {
  if (!has(name)) return fallback;
  const Part member = at(name);
  if (!member.json().is_boolean()) member.fail("expected true or false");
  return member.json().get<bool>();
}

std::int64_t Part::number_or(const char* name, std::int64_t fallback) const {
  if (!has(name)) return fallback;
  const Part member = at(name);
  if (!member.json().is_number_integer()) member.fail("expected an integer");
  return member.json().get<std::int64_t>();
}

}  // namespace llm::tokenizer::hf
