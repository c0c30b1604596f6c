#include "tokenizer/splitter.h"

namespace llm::tokenizer {

namespace {

// Hands the pieces of one stage to the next.
class Relay : public PieceSink {
 public:
  Relay(const Splitter& next, PieceSink& out) : next_(next), out_(out) {}
  void piece(std::string_view text) override { next_.split(text, out_); }

 private:
  const Splitter& next_;
  PieceSink& out_;
};

}  // namespace

void SplitterChain::split(std::string_view text, PieceSink& out) const {
  if (text.empty()) return;
  if (stages_.empty()) return out.piece(text);
  std::vector<Relay> relays;
  relays.reserve(stages_.size());
  PieceSink* sink = &out;
  for (std::size_t i = stages_.size(); i-- > 1;) {
    relays.emplace_back(*stages_[i], *sink);
    sink = &relays.back();
  }
  stages_.front()->split(text, *sink);
}

}  // namespace llm::tokenizer
