#ifndef TOKENIZER_MODEL_SINK_H
#define TOKENIZER_MODEL_SINK_H

#include <algorithm>

#include "tokenizer/model.h"
#include "tokenizer/splitter.h"

namespace llm::tokenizer {

// Where a splitter's pieces become ids. Room for them is made by how many the text has given so far: long texts would
// otherwise be held several times over while a vector doubles.
class ModelSink : public PieceSink {
 public:
  // `text_bytes`: of all pieces to come.
  ModelSink(const Model& model, Scratch& scratch, std::vector<TokenId>& out, std::size_t text_bytes)
      : model_(model), scratch_(scratch), out_(out), first_(out.size()), text_bytes_(text_bytes) {}
  void piece(std::string_view text) override {
    if (text.empty()) return;
    if (out_.capacity() - out_.size() < text.size()) make_room(text.size());
    model_.encode(text, scratch_, out_);
    done_bytes_ += text.size();
  }

 private:
  void make_room(std::size_t n_bytes) {
    constexpr std::size_t kLeastBytes = 1 << 16;  // that have to be done for a guess
    if (done_bytes_ < kLeastBytes) return;
    const double ids_a_byte = static_cast<double>(out_.size() - first_) / static_cast<double>(done_bytes_);
    const auto left = static_cast<double>(text_bytes_ - std::min(text_bytes_, done_bytes_));
    const auto expected = static_cast<std::size_t>(left * ids_a_byte * 1.05);
    out_.reserve(out_.size() + std::max({expected, std::min(n_bytes, kLeastBytes), out_.size() / 8}));
  }

  const Model& model_;
  Scratch& scratch_;
  std::vector<TokenId>& out_;
  std::size_t first_, text_bytes_, done_bytes_ = 0;
};

}  // namespace llm::tokenizer

#endif
