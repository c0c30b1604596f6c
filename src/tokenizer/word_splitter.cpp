#include "tokenizer/word_splitter.h"

#include "tokenizer/text_cursor.h"

namespace llm::tokenizer {

namespace {

constexpr CharFlags kUpFlags = kUpper | kTitle | kModifierLetter | kOtherLetter | kMark;
constexpr CharFlags kLowFlags = kLower | kModifierLetter | kOtherLetter | kMark;

bool is_ascii_letter(char32_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

struct WordMatcher {
  WordRule rule;

  class State {
   public:
    State(const WordMatcher& matcher, std::string_view text) : rule_(matcher.rule), text_(text) {}
    std::size_t next(std::size_t at) const { return text_.next(at); }

    // End of the match at a position, or the position itself if nothing matches there.
    std::size_t match(std::size_t at) {
      const TextChar c = text_.at(at);
      if (rule_.han_runs && c.is(kHan)) return text_.skip(at, kHan);
      if (c.code_point == '\'' && rule_.contractions != WordRule::Contractions::none) {
        const std::size_t end = contraction(at, rule_.contractions == WordRule::Contractions::any_case);
        if (end > at) return end;
      }
      if (rule_.ascii_punctuation_words && is_ascii_punctuation(c.code_point)) {
        std::size_t end = c.end;
        while (is_ascii_letter(text_.at(end).code_point)) ++end;
        if (end > c.end) return end;
      }
      std::size_t end = word(at, c);
      if (end == at) end = digits(at, c);
      if (end == at) end = punctuation(at, c);
      if (end == at && c.is(kWhiteSpace)) end = spaces(at, c);
      return end;
    }

   private:
    // 's 't 're 've 'm 'll 'd; with any_case also 'ſ, which folds to 's.
    std::size_t contraction(std::size_t at, bool any_case) const {
      const TextChar first = text_.at(at + 1);
      if (any_case && first.code_point == 0x17F) return first.end;
      const auto fold = [any_case](char32_t c) { return any_case && c >= 'A' && c <= 'Z' ? c + 32 : c; };
      const char32_t a = fold(first.code_point);
      if (a == 's' || a == 't' || a == 'm' || a == 'd') return first.end;
      const TextChar second = text_.at(first.end);
      const char32_t b = fold(second.code_point);
      if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return second.end;
      return at;
    }

    std::size_t word(std::size_t at, const TextChar& c) const {
      switch (rule_.words) {
        case WordRule::Words::space_letters: {
          const std::size_t start = c.code_point == ' ' ? c.end : at;
          const std::size_t end = text_.skip(start, kLetter);
          return end > start ? end : at;
        }
        case WordRule::Words::prefix_letters: {
          if (c.is(rule_.letters)) return text_.skip(c.end, rule_.letters);
          if (c.is(rule_.prefix_excludes)) return at;
          const std::size_t end = text_.skip(c.end, rule_.letters);
          return end > c.end ? end : at;
        }
        case WordRule::Words::spaced_syllables: {
          if (c.is(kLetter)) return spaced_syllables(at);
          if (c.is(rule_.prefix_excludes)) return at;
          const std::size_t end = spaced_syllables(c.end);
          return end > c.end ? end : at;
        }
        case WordRule::Words::cased:
          return cased(at, c);
      }
      return at;
    }

    // (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+
    std::size_t spaced_syllables(std::size_t at) const {
      for (bool any = false;; any = true) {
        TextChar c = text_.at(at);
        if (any && c.code_point == ' ') c = text_.at(c.end);
        if (!c.is(kLetter)) return at;
        at = text_.skip(c.end, kMark);
      }
    }

    bool is_cased(const TextChar& c, CharFlags flags) const {
      return c.is(flags) && !(rule_.without_han && c.is(kHan));
    }

    std::size_t cased(std::size_t at, const TextChar& c) const {
      const bool prefix = !c.is(rule_.prefix_excludes);
      std::size_t end = at;
      if (prefix) end = up_low_plus(c.end, c.end);
      if (end == at || end == c.end) end = up_low_plus(at, at);
      if (end == at && prefix) {
        end = up_plus_low(c.end);
        if (end == c.end) end = at;
      }
      if (end == at) end = up_plus_low(at);
      if (end == at) return at;
      if (rule_.contraction_suffix && text_.at(end).code_point == '\'') end = contraction(end, true);
      return end;
    }

    // UP*LOW+, or `none` without a match: after the longest run of UP, LOW+ takes what follows; if nothing does, the
    // run is given back up to its last character that is LOW too.
    std::size_t up_low_plus(std::size_t at, std::size_t none) const {
      std::size_t after_last_low = none;
      TextChar c = text_.at(at);
      while (is_cased(c, kUpFlags)) {
        if (c.is(kLowFlags)) after_last_low = c.end;
        at = c.end;
        c = text_.at(at);
      }
      if (!is_cased(c, kLowFlags)) return after_last_low;
      while (is_cased(c, kLowFlags)) {
        at = c.end;
        c = text_.at(at);
      }
      return at;
    }

    // UP+LOW*, or `at` without a match.
    std::size_t up_plus_low(std::size_t at) const {
      TextChar c = text_.at(at);
      if (!is_cased(c, kUpFlags)) return at;
      while (is_cased(c, kUpFlags)) {
        at = c.end;
        c = text_.at(at);
      }
      while (is_cased(c, kLowFlags)) {
        at = c.end;
        c = text_.at(at);
      }
      return at;
    }

    std::size_t digits(std::size_t at, const TextChar& c) const {
      if (!rule_.digits) return at;
      const std::size_t start = rule_.space_before_digits && c.code_point == ' ' ? c.end : at;
      const std::size_t end = text_.skip_at_most(start, kNumber, rule_.max_digits);
      return end > start ? end : at;
    }

    std::size_t punctuation(std::size_t at, const TextChar& c) const {
      const std::size_t start = c.code_point == ' ' ? c.end : at;
      std::size_t end = rule_.punctuation_includes != 0 ? text_.skip(start, rule_.punctuation_includes)
                                                        : text_.skip_not(start, rule_.punctuation_excludes);
      if (end == start) return at;
      switch (rule_.tail) {
        case WordRule::Tail::none:
          break;
        case WordRule::Tail::newlines:
          end = text_.skip(end, kNewline);
          break;
        case WordRule::Tail::newlines_slashes:
          while (text_.at(end).is(kNewline) || text_.at(end).code_point == '/') ++end;
          break;
        case WordRule::Tail::one_newline_or_slash:
          if (text_.at(end).is(kNewline) || text_.at(end).code_point == '/') ++end;
          break;
      }
      return end;
    }

    // The run of white space from `at` on; looked at once however many pieces it is cut into.
    void find_run(std::size_t at) {
      if (at < run_end_) {
        if (after_newline_ <= at) after_newline_ = 0;
        return;
      }
      after_newline_ = 0;
      std::size_t last = at;
      run_end_ = at;
      for (TextChar c = text_.at(at); run_end_ < text_.size() && c.is(kWhiteSpace); c = text_.at(run_end_)) {
        last = run_end_;
        run_end_ = c.end;
        if (c.is(kNewline)) after_newline_ = run_end_;
      }
      last_of_run_ = last;
    }

    std::size_t spaces(std::size_t at, const TextChar& c) {
      if (rule_.spaces == WordRule::Spaces::one_newline && c.is(kNewline)) return c.end;
      find_run(at);
      const bool newlines =
          rule_.spaces == WordRule::Spaces::with_newlines || rule_.spaces == WordRule::Spaces::powers_of_two;
      if (newlines && after_newline_ > at) return after_newline_;
      if (rule_.spaces == WordRule::Spaces::powers_of_two) return power_of_two(at, c);
      if (run_end_ == text_.size() || last_of_run_ == at) return run_end_;
      return last_of_run_;
    }

    // Longest of 512, 256 ... 4, 2, 1 characters that no character other than white space follows; else one.
    std::size_t power_of_two(std::size_t at, const TextChar& c) const {
      std::size_t ends[513];
      unsigned n = 0;
      ends[0] = at;
      while (n < 512 && ends[n] < run_end_) {
        ends[n + 1] = text_.next(ends[n]);
        ++n;
      }
      for (unsigned size : {512U, 256U, 128U, 64U, 32U, 16U, 8U, 4U, 2U, 1U}) {
        if (n >= size && (ends[size] < run_end_ || ends[size] == text_.size())) return ends[size];
      }
      return c.end;
    }

    const WordRule& rule_;
    TextCursor text_;
    std::size_t run_end_ = 0;        // end of the run of white space last looked at
    std::size_t last_of_run_ = 0;    // where its last character starts
    std::size_t after_newline_ = 0;  // end of its last newline; 0: none
  };
};

}  // namespace

std::unique_ptr<const Splitter> make_word_splitter(const WordRule& rule) {
  return std::make_unique<MatchSplitter<WordMatcher>>(WordMatcher{rule});
}

}  // namespace llm::tokenizer
