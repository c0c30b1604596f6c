#ifndef TOKENIZER_HF_FILE_H
#define TOKENIZER_HF_FILE_H

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/hf_json.h"
#include "tokenizer/json_reader.h"

namespace llm::tokenizer::hf {

struct VocabularyItem {
  TokenId id = kNoToken;
  std::string_view text;
  double score = 0;  // of a list of texts with scores
};

// A tokenizer.json: its two large parts as flat lists, all else as JSON.
class TokenizerFile {
 public:
  // Throws Error(model). `text` must outlive the file.
  TokenizerFile(std::string_view text, const std::string& source);
  TokenizerFile(const TokenizerFile&) = delete;
  TokenizerFile& operator=(const TokenizerFile&) = delete;

  const Json& root() const { return root_; }  // the items of model.vocab and model.merges are left out of it
  // In the order of the file.
  const std::vector<VocabularyItem>& vocabulary() const { return vocabulary_; }
  const std::vector<Bpe::MergeText>& merges() const { return merges_; }
  // Of equal keys of an object the last counts. Returns whether there were any.
  bool drop_repeated_texts();

 private:
  bool read_root();
  bool read_model(Json& model);
  bool read_vocabulary(Json& kind);
  bool read_merges(Json& kind);
  bool read_other(Json& out);
  [[noreturn]] void fail(std::string_view what) const;

  std::string_view text_;
  std::string source_;
  JsonReader reader_;
  Json root_;
  std::vector<VocabularyItem> vocabulary_;
  std::vector<Bpe::MergeText> merges_;
};

// A whole text of JSON. Throws Error(model) that names the source.
Json parse_json(std::string_view text, const std::string& source);

}  // namespace llm::tokenizer::hf

#endif
