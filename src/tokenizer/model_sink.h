#ifndef TOKENIZER_MODEL_SINK_H
#define TOKENIZER_MODEL_SINK_H

#include "tokenizer/model.h"
#include "tokenizer/splitter.h"

namespace llm::tokenizer {

// Where a splitter's pieces become ids.
class ModelSink : public PieceSink {
 public:
  ModelSink(const Model& model, Scratch& scratch, std::vector<TokenId>& out)
      : model_(model), scratch_(scratch), out_(out) {}
  void piece(std::string_view text) override {
    if (!text.empty()) model_.encode(text, scratch_, out_);
  }

 private:
  const Model& model_;
  Scratch& scratch_;
  std::vector<TokenId>& out_;
};

}  // namespace llm::tokenizer

#endif
