#ifndef TESTS_GOLDEN_TOKENIZER_CASE_FILES_H
#define TESTS_GOLDEN_TOKENIZER_CASE_FILES_H

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <llm/tokenizer.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace llm::testing {

using nlohmann::json;
using Ids = std::vector<TokenId>;

// The reference tree, unpacked by CMake.
inline std::string reference(const std::string& name) {
  return std::string(LLM_TOKENIZER_REFERENCE) + "/" + name;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline json read_json(const std::string& name) {
  return json::parse(read_file(reference(name)));
}

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

inline std::string case_text(const json& c) {
  if (c.contains("text")) return c["text"].get<std::string>();
  if (c.contains("file")) return read_file(reference(c["file"].get<std::string>()));
  return from_hex(c["bytes_hex"].get<std::string>());
}

inline std::string printable(const std::string& text) {
  return json(text).dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 300);
}

inline std::string note_key(const json& c) {
  const std::string note = c.value("note", "");
  return note.substr(0, note.find(':'));
}

// Ids fed in chunks of one give the same bytes as all at once.
inline void expect_incremental(const Tokenizer& tokenizer, const Ids& ids, bool special, const std::string& whole) {
  IncrementalDecoder decoder(tokenizer, special);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  text += decoder.finish();
  EXPECT_EQ(printable(text), printable(whole));
}

}  // namespace llm::testing

#endif
