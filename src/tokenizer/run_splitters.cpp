#include "tokenizer/run_splitters.h"

#include "tokenizer/text_cursor.h"

namespace llm::tokenizer {

namespace {

bool is_ascii_digit(const TextChar& c) {
  return c.code_point >= '0' && c.code_point <= '9';
}

struct RunMatcher {
  RunRule rule;
  bool plain_space = false;  // only U+0020 leads

  class State {
   public:
    State(const RunMatcher& matcher, std::string_view text) : matcher_(matcher), text_(text) {}
    std::size_t next(std::size_t at) const { return text_.next(at); }
    std::size_t match(std::size_t at) const {
      const RunRule& runs = matcher_.rule;
      TextChar c = text_.at(at);
      int wanted = class_of(c);
      const bool space = matcher_.plain_space ? c.code_point == ' ' : c.is(kWhiteSpace);
      if (runs.leading_space && space) {
        const TextChar after = text_.at(c.end);
        if (class_of(after) != 0) {
          c = after;
          wanted = class_of(after);
        }
      }
      if (wanted == 0) return at;
      std::size_t end = c.end;
      for (unsigned n = 1; n != runs.max_length; ++n) {
        c = text_.at(end);
        if (class_of(c) != wanted) break;
        end = c.end;
      }
      return end;
    }

   private:
    int class_of(const TextChar& c) const { return c.flags == 0 ? 0 : matcher_.rule.char_class(c.code_point, c.flags); }
    const RunMatcher& matcher_;
    TextCursor text_;
  };
};

struct DigitTripleMatcher {
  class State {
   public:
    State(const DigitTripleMatcher&, std::string_view text) : text_(text) {}
    std::size_t next(std::size_t at) const { return at + 1; }
    std::size_t match(std::size_t at) const {
      for (std::size_t i = at; i < at + 3; ++i) {
        if (!is_ascii_digit(text_.at(i))) return at;
      }
      return at + 3;
    }

   private:
    TextCursor text_;
  };
};

class TrailingSpaceSplitter : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    const TextCursor cursor(text);
    std::size_t cut = 0;  // end of the last character that is no white space
    for (std::size_t at = 0; at < text.size();) {
      const TextChar c = cursor.at(at);
      at = c.end;
      if (!c.is(kWhiteSpace)) cut = at;
    }
    if (cut > 0) out.piece(text.substr(0, cut));
    if (cut < text.size()) out.piece(text.substr(cut));
  }
};

struct DigitGroupMatcher {
  DigitGroups kind = DigitGroups::numbers;

  class State {
   public:
    State(const DigitGroupMatcher& matcher, std::string_view text)
        : kind_(matcher.kind), flags_(kind_ == DigitGroups::numbers ? kNumber : kDecimalDigit), text_(text) {}
    std::size_t next(std::size_t at) const { return text_.next(at); }
    std::size_t match(std::size_t at) {
      if (!text_.at(at).is(flags_)) return at;
      if (at >= run_end_) look_at_run(at);
      if (!matches_) return at;
      const unsigned n = left_ % 3 == 0 ? 3 : left_ % 3;
      left_ -= n;
      return text_.skip_at_most(at, flags_, n);
    }

   private:
    void look_at_run(std::size_t at) {
      left_ = 0;
      run_end_ = at;
      TextChar c = text_.at(at);
      for (; c.is(flags_); c = text_.at(run_end_)) {
        run_end_ = c.end;
        ++left_;
      }
      matches_ = kind_ != DigitGroups::before_boundary || run_end_ == text_.size() || !is_word_character(c.code_point);
    }
    DigitGroups kind_;
    CharFlags flags_;
    TextCursor text_;
    std::size_t run_end_ = 0;
    std::size_t left_ = 0;  // digits of the run from here on
    bool matches_ = false;
  };
};

struct SentinelMatcher {
  class State {
   public:
    State(const SentinelMatcher&, std::string_view text) : text_(text) {}
    std::size_t next(std::size_t at) const { return at + 1; }
    std::size_t match(std::size_t at) const {
      constexpr std::string_view kStart = "<sentinel:";
      if (text_.substr(at, kStart.size()) != kStart) return at;
      std::size_t end = at + kStart.size();
      while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
      const bool digits = end > at + kStart.size();
      return digits && end < text_.size() && text_[end] == '>' ? end + 1 : at;
    }

   private:
    std::string_view text_;
  };
};

struct ImageTokenMatcher {
  class State {
   public:
    State(const ImageTokenMatcher&, std::string_view text) : text_(text) {}
    std::size_t next(std::size_t at) const { return at + 1; }
    std::size_t match(std::size_t at) const {
      constexpr std::string_view kStart = "IMGIMG";
      if (text_.substr(at, kStart.size()) != kStart) return at;
      std::size_t end = at + kStart.size();
      const std::size_t letters = end;
      while (end < text_.size() && end < letters + 4 && text_[end] >= 'A' && text_[end] <= 'I') ++end;
      return end > letters && end < text_.size() && text_[end] == 'Z' ? end + 1 : at;
    }

   private:
    std::string_view text_;
  };
};

struct IndentMatcher {
  class State {
   public:
    State(const IndentMatcher&, std::string_view text) : text_(text) {}
    std::size_t next(std::size_t at) const { return at + 1; }
    std::size_t match(std::size_t at) const {
      if (text_[at] == '\t' || text_[at] == '\n') return at + 1;
      if (text_.substr(at, 4) == "    ") return at + 4;
      return text_.substr(at, 2) == "  " ? at + 2 : at;
    }

   private:
    std::string_view text_;
  };
};

class WhiteSpaceDropper : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    const TextCursor cursor(text);
    for (std::size_t at = cursor.skip(0, kWhiteSpace); at < text.size();) {
      const std::size_t end = cursor.skip_not(at, kWhiteSpace);
      out.piece(text.substr(at, end - at));
      at = cursor.skip(end, kWhiteSpace);
    }
  }
};

}  // namespace

std::unique_ptr<const Splitter> make_run_splitter(const RunRule& rule) {
  return std::make_unique<MatchSplitter<RunMatcher>>(RunMatcher{rule, false});
}

std::unique_ptr<const Splitter> make_spaced_run_splitter(CharClass char_class) {
  return std::make_unique<MatchSplitter<RunMatcher>>(RunMatcher{{char_class, true, 0}, true});
}

std::unique_ptr<const Splitter> make_digit_triple_splitter() {
  return std::make_unique<MatchSplitter<DigitTripleMatcher>>();
}

std::unique_ptr<const Splitter> make_trailing_space_splitter() {
  return std::make_unique<TrailingSpaceSplitter>();
}

std::unique_ptr<const Splitter> make_digit_group_splitter(DigitGroups kind) {
  return std::make_unique<MatchSplitter<DigitGroupMatcher>>(DigitGroupMatcher{kind});
}

std::unique_ptr<const Splitter> make_sentinel_splitter() {
  return std::make_unique<MatchSplitter<SentinelMatcher>>();
}

std::unique_ptr<const Splitter> make_image_token_splitter() {
  return std::make_unique<MatchSplitter<ImageTokenMatcher>>();
}

std::unique_ptr<const Splitter> make_indent_splitter() {
  return std::make_unique<MatchSplitter<IndentMatcher>>();
}

std::unique_ptr<const Splitter> make_white_space_dropper() {
  return std::make_unique<WhiteSpaceDropper>();
}

}  // namespace llm::tokenizer
