#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "model/family.h"

// docs/models.md holds the table of all families, as the registry has them. LLM_UPDATE_DOCS=1 writes it.

namespace {

using llm::model::Family;

std::string joined(const std::vector<std::string_view>& names) {
  std::string result;
  for (const std::string_view name : names) result += (result.empty() ? "`" : ", `") + std::string(name) + "`";
  return result.empty() ? "-" : result;
}

std::string table() {
  std::ifstream in(LLM_TEST_DATA "/golden/index.json");
  const nlohmann::json index = nlohmann::json::parse(in);
  std::string text =
      "| Family | `model_type` | GGUF architecture | What is special | Tested with |\n|---|---|---|---|---|\n";
  for (const Family* family : llm::model::families()) {
    int n_folders = 0, n_gguf = 0;
    for (const auto& entry : index) {
      const std::string type = entry["family"];
      const auto& names = family->hugging_face;
      // Two families may share a model_type: an encoder alone is another one.
      const bool encoder = entry["kind"] == "encoder";
      const bool mine = std::find(names.begin(), names.end(), type) != names.end() &&
                        encoder == (family->kind == llm::model::ModelKind::encoder);
      n_folders += mine ? 1 : 0;
      for (const auto& file : entry["files"]) n_gguf += mine && file == "model.gguf" ? 1 : 0;
    }
    const std::string tested = n_folders == 0
                                   ? "entries of its relatives"
                                   : std::to_string(n_folders) + " folders, " + std::to_string(n_gguf) + " GGUF";
    text += "| " + std::string(family->name) + " | " + joined(family->hugging_face) + " | " + joined(family->gguf) +
            " | " + std::string(family->special) + " | " + tested + " |\n";
  }
  return text;
}

TEST(ModelsDocumentation, HoldsTheTableOfTheRegistry) {
  const std::string path = LLM_SOURCE_DIR "/docs/models.md";
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const std::size_t begin = text.find("| Family |");
  ASSERT_NE(begin, std::string::npos);
  std::size_t end = begin;
  while (end < text.size() && text[end] == '|') end = text.find('\n', end) + 1;
  if (std::getenv("LLM_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << text.substr(0, begin) + table() + text.substr(end);
    return;
  }
  EXPECT_EQ(text.substr(begin, end - begin), table());
}

TEST(Registry, HasEveryNameOnce) {
  std::set<std::string_view> gguf, folders;
  for (const Family* family : llm::model::families()) {
    EXPECT_FALSE(family->special.empty()) << family->name;
    for (const std::string_view name : family->gguf) EXPECT_TRUE(gguf.insert(name).second) << name;
    for (const std::string_view name : family->hugging_face) {
      EXPECT_TRUE(family->claims != nullptr || folders.insert(name).second) << name;
    }
  }
}

}  // namespace
