#include "tokenizer/splitter.h"

namespace llm::tokenizer {

namespace {

// Hands the pieces of one stage to the next. `first` is where the text at the start of the input lies, if it is there.
class Relay : public PieceSink {
 public:
  Relay(const Splitter& next, const char* first, PieceSink& out) : next_(next), first_(first), out_(out) {}
  void piece(std::string_view text) override {
    if (text.data() == first_) {
      next_.split_first(text, out_);
    } else {
      next_.split(text, out_);
    }
  }

 private:
  const Splitter& next_;
  const char* first_;
  PieceSink& out_;
};

}  // namespace

void SplitterChain::run(std::string_view text, bool first, PieceSink& out) const {
  if (text.empty()) return;
  if (stages_.empty()) return out.piece(text);
  std::vector<Relay> relays;
  relays.reserve(stages_.size());
  PieceSink* sink = &out;
  for (std::size_t i = stages_.size(); i-- > 1;) {
    relays.emplace_back(*stages_[i], first ? text.data() : nullptr, *sink);
    sink = &relays.back();
  }
  if (first) {
    stages_.front()->split_first(text, *sink);
  } else {
    stages_.front()->split(text, *sink);
  }
}

}  // namespace llm::tokenizer
