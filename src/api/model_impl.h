#ifndef API_MODEL_IMPL_H
#define API_MODEL_IMPL_H

#include <cstdint>
#include <llm/model.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "api/embedding_head.h"
#include "model/model.h"
#include "sampling/token_table.h"
#include "sampling/token_trie.h"

namespace llm {
inline namespace v1 {

struct Model::Impl {
  std::unique_ptr<model::Model> model;
  std::optional<Tokenizer> tokenizer;
  std::unique_ptr<sampling::TokenTable> tokens;
  std::map<std::string, std::string, std::less<>> chat_templates;  // "" is the default one
  ModelInfo info;
  api::EmbeddingHead embedding_head;
  GenerationDefaults generation;
  LogSink log;
  std::uint64_t held_bytes = 0;  // of the weights: private memory that is taken already

  // Made when the first constraint needs it.
  const sampling::VocabularyIndex& vocabulary() const {
    std::call_once(vocabulary_once, [&] { vocabulary_index = std::make_unique<sampling::VocabularyIndex>(*tokens); });
    return *vocabulary_index;
  }
  mutable std::once_flag vocabulary_once = {};
  mutable std::unique_ptr<sampling::VocabularyIndex> vocabulary_index = {};

  void say(LogLevel level, std::string_view message) const {
    if (log) log(level, message);
  }
};

}  // namespace v1

namespace api {

// Facts of a file: of a bound model, or from metadata alone if nothing here can run it.
ModelInfo model_info(const model::Model& model, const EmbeddingHead& head);
ModelInfo model_info(const formats::WeightsFile& file);
// generation_config.json of a folder; null if there is none or it is no JSON.
nlohmann::json generation_config(const std::string& folder);
// Chat templates of the file or of its folder, by name.
std::map<std::string, std::string, std::less<>> chat_templates(const formats::WeightsFile& file);
// The vocabulary in the file or beside it; nullopt if there is none.
std::optional<Tokenizer> open_tokenizer(const formats::WeightsFile& file);

}  // namespace api
}  // namespace llm

#endif
