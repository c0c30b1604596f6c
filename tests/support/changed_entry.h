#ifndef TESTS_SUPPORT_CHANGED_ENTRY_H
#define TESTS_SUPPORT_CHANGED_ENTRY_H

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "temporary_folder.h"

namespace llm::test {

// Tests on golden entries with some keys of config.json changed, their weights beside it.
class ChangedEntry : public testing::Test {
 protected:
  std::string with(const std::string& entry, const nlohmann::json& changes) {
    const std::string from = LLM_TEST_DATA "/golden/" + entry;
    std::ifstream in(from + "/config.json");
    nlohmann::json config = nlohmann::json::parse(in);
    config.merge_patch(changes);
    folder_.write("config.json", config.dump());
    std::filesystem::copy_file(from + "/model.safetensors", folder_.file("model.safetensors"),
                               std::filesystem::copy_options::overwrite_existing);
    return folder_.path();
  }
  TemporaryFolder folder_;
};

}  // namespace llm::test

#endif
