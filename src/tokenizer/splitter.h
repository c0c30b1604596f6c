#ifndef TOKENIZER_SPLITTER_H
#define TOKENIZER_SPLITTER_H

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace llm::tokenizer {

class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void piece(std::string_view text) = 0;  // never empty
};

// Cuts a text into pieces, in order and without loss. Time is linear in the text, the stack does not grow with it.
class Splitter {
 public:
  virtual ~Splitter() = default;
  virtual void split(std::string_view text, PieceSink& out) const = 0;
  // The same for a text that stands at the very start of the input.
  virtual void split_first(std::string_view text, PieceSink& out) const { split(text, out); }
};

// Several splitters, each cutting the pieces of the one before.
class SplitterChain : public Splitter {
 public:
  void add(std::unique_ptr<const Splitter> stage) { stages_.push_back(std::move(stage)); }
  bool empty() const { return stages_.empty(); }
  void split(std::string_view text, PieceSink& out) const override { run(text, false, out); }
  void split_first(std::string_view text, PieceSink& out) const override { run(text, true, out); }

 private:
  void run(std::string_view text, bool first, PieceSink& out) const;

  std::vector<std::unique_ptr<const Splitter>> stages_;
};

// Base of splitters that are described by what matches at a position, in the way of a regular expression: matches are
// pieces, and so is the text between them.
template <typename Matcher>
class MatchSplitter : public Splitter {
 public:
  explicit MatchSplitter(Matcher matcher = {}) : matcher_(std::move(matcher)) {}
  void split(std::string_view text, PieceSink& out) const override {
    typename Matcher::State state(matcher_, text);
    std::size_t gap = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = state.match(at);
      if (end > at) {
        if (gap < at) out.piece(text.substr(gap, at - gap));
        out.piece(text.substr(at, end - at));
        at = gap = end;
      } else {
        at = state.next(at);
      }
    }
    if (gap < text.size()) out.piece(text.substr(gap));
  }

 private:
  Matcher matcher_;
};

}  // namespace llm::tokenizer

#endif
