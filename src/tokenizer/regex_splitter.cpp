#include "tokenizer/regex_splitter.h"

#include "base/utf8.h"

namespace llm::tokenizer {

namespace {

// Turns matches and the text between them into pieces, as the behaviour says. Holds one piece back.
class Pieces {
 public:
  Pieces(std::string_view text, SplitMode mode, PieceSink& out) : text_(text), mode_(mode), out_(out) {}

  void match(std::size_t begin, std::size_t end) {
    if (begin > done_) add(done_, begin, mode_.invert);
    if (end > begin) add(begin, end, !mode_.invert);
    if (end == begin) cut();
    done_ = end;
  }
  void finish() {
    if (done_ < text_.size()) add(done_, text_.size(), mode_.invert);
    flush();
  }

 private:
  void add(std::size_t begin, std::size_t end, bool is_match) {
    switch (mode_.behavior) {
      case SplitBehavior::isolated:
        hold(begin, end);
        break;
      case SplitBehavior::removed:
        if (!is_match) hold(begin, end);
        break;
      case SplitBehavior::merged_with_previous:
        if (is_match && has_ && !held_is_match_) {
          held_end_ = end;
        } else {
          hold(begin, end);
        }
        break;
      case SplitBehavior::merged_with_next:
        if (!is_match && has_ && held_is_match_) {
          held_end_ = end;
        } else {
          hold(begin, end);
        }
        break;
      case SplitBehavior::contiguous:
        if (has_ && is_match == held_is_match_) {
          held_end_ = end;
        } else {
          hold(begin, end);
        }
        break;
    }
    held_is_match_ = is_match;
  }
  void hold(std::size_t begin, std::size_t end) {
    flush();
    held_begin_ = begin;
    held_end_ = end;
    has_ = true;
  }
  void cut() {
    if (mode_.behavior != SplitBehavior::contiguous) flush();
  }
  void flush() {
    if (has_) out_.piece(text_.substr(held_begin_, held_end_ - held_begin_));
    has_ = false;
  }

  std::string_view text_;
  SplitMode mode_;
  PieceSink& out_;
  std::size_t done_ = 0;
  std::size_t held_begin_ = 0, held_end_ = 0;
  bool has_ = false, held_is_match_ = false;
};

class RegexSplitter : public Splitter {
 public:
  RegexSplitter(Regex regex, SplitMode mode) : regex_(std::move(regex)), mode_(mode) {}
  void split(std::string_view text, PieceSink& out) const override {
    Pieces pieces(text, mode_, out);
    regex_.for_each_match(text, [&](Regex::Match match) { pieces.match(match.begin, match.end); });
    pieces.finish();
  }

 private:
  Regex regex_;
  SplitMode mode_;
};

class LiteralSplitter : public Splitter {
 public:
  LiteralSplitter(std::string literal, SplitMode mode) : literal_(std::move(literal)), mode_(mode) {}
  void split(std::string_view text, PieceSink& out) const override {
    Pieces pieces(text, mode_, out);
    if (!literal_.empty()) {
      for (std::size_t at = text.find(literal_); at != std::string_view::npos;
           at = text.find(literal_, at + literal_.size())) {
        pieces.match(at, at + literal_.size());
      }
    }
    pieces.finish();
  }

 private:
  std::string literal_;
  SplitMode mode_;
};

class CharacterSplitter : public Splitter {
 public:
  CharacterSplitter(std::function<bool(char32_t)> matches, SplitMode mode)
      : matches_(std::move(matches)), mode_(mode) {}
  void split(std::string_view text, PieceSink& out) const override {
    Pieces pieces(text, mode_, out);
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = decode_utf8(text.data() + at, text.data() + text.size());
      if (matches_(c.code_point)) pieces.match(at, at + c.length);
      at += c.length;
    }
    pieces.finish();
  }

 private:
  std::function<bool(char32_t)> matches_;
  SplitMode mode_;
};

}  // namespace

std::unique_ptr<const Splitter> make_regex_splitter(std::string_view pattern, SplitMode mode, std::string_view source) {
  return std::make_unique<RegexSplitter>(Regex(pattern, source), mode);
}

std::unique_ptr<const Splitter> make_literal_splitter(std::string literal, SplitMode mode) {
  return std::make_unique<LiteralSplitter>(std::move(literal), mode);
}

std::unique_ptr<const Splitter> make_character_splitter(std::function<bool(char32_t)> matches, SplitMode mode) {
  return std::make_unique<CharacterSplitter>(std::move(matches), mode);
}

}  // namespace llm::tokenizer
