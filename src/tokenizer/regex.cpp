#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <llm/error.hpp>

#include "base/utf8.h"
#include "formats/quote.h"
#include "tokenizer/regex_splitter.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

namespace {

constexpr std::uint32_t kMatchLimit = 50'000'000;  // steps of one match
constexpr std::uint32_t kHeapLimit = 256 * 1024;   // KiB

template <auto function>
struct Free {
  template <typename T>
  void operator()(T* p) const {
    function(p);
  }
};
using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;

std::string message_of(int error) {
  PCRE2_UCHAR8 text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// Oniguruma's dialect in PCRE2's: \w with marks, \h as a hexadecimal digit, intersections of classes.
class Translator {
 public:
  Translator(std::string_view pattern, std::string_view source) : pattern_(pattern), source_(source) {}

  std::string translate() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        out_ += escape(false);
      } else if (c == '[') {
        out_ += character_class();
      } else {
        out_ += c;
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(ErrorCode::model,
                fmt::format("{}: regular expression {}: {}", source_, formats::quote(pattern_), what));
  }

  std::string escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) refuse("ends in a backslash");
    const char c = pattern_[at_ + 1];
    at_ += 2;
    constexpr std::string_view kWord = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}";
    if (c == 'w') return in_class ? std::string(kWord) : fmt::format("[{}]", kWord);
    if (c == 'W' && !in_class) return fmt::format("[^{}]", kWord);
    if (c == 'W') refuse("\\W in a class");
    if (c == 'b' && !in_class) return fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord);
    if (c == 'h') return in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
    if (c == 'p') return property(in_class);
    return std::string(pattern_.substr(at_ - 2, 2));
  }

  // \p{L} and its like, with the characters that are newer than PCRE2's tables.
  std::string property(bool in_class) {
    const std::size_t end = pattern_.find('}', at_);
    if (at_ >= pattern_.size() || pattern_[at_] != '{' || end == std::string_view::npos) return "\\p";
    const std::string_view name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    constexpr std::pair<std::string_view, CharFlags> kCategories[] = {
        {"L", kLetter},          {"Lu", kUpper},      {"Ll", kLower}, {"Lt", kTitle},        {"Lm", kModifierLetter},
        {"Lo", kOtherLetter},    {"M", kMark},        {"N", kNumber}, {"Nd", kDecimalDigit}, {"P", kPunctuation},
        {"Mn", kNonSpacingMark}, {"Letter", kLetter}, {"S", kSymbol}, {"Number", kNumber},   {"Mark", kMark}};
    for (const auto& [category, flags] : kCategories) {
      if (name != category) continue;
      const std::string set = fmt::format("\\p{{{}}}{}", name, detail::added_ranges(flags));
      return in_class ? set : "[" + set + "]";
    }
    return fmt::format("\\p{{{}}}", name);
  }

  // One operand after the other, joined by &&; all but the first become lookaheads.
  std::string character_class() {
    std::string result = "[";
    std::string conditions;
    bool negated = false;
    ++at_;
    if (at_ < pattern_.size() && pattern_[at_] == '^') {
      negated = true;
      result += '^';
      ++at_;
    }
    bool first_operand = true;
    for (bool first = true; at_ < pattern_.size(); first = false) {
      const char c = pattern_[at_];
      if (c == ']' && !first) {
        ++at_;
        result += ']';
        if (conditions.empty()) return result;
        if (negated) refuse("a negated intersection of classes");
        return "(?:" + conditions + result + ")";
      }
      if (c == '\\') {
        result += escape(true);
      } else if (c == '[' && pattern_.substr(at_).starts_with("[:")) {
        const std::size_t end = pattern_.find(":]", at_);
        if (end == std::string_view::npos) refuse("[: without :]");
        result += pattern_.substr(at_, end + 2 - at_);
        at_ = end + 2;
      } else if (c == '[') {
        refuse("a class in a class");
      } else if (pattern_.substr(at_).starts_with("&&")) {
        at_ += 2;
        if (at_ >= pattern_.size() || pattern_[at_] != '[' || !first_operand)
          refuse("an intersection of more than two classes");
        first_operand = false;
        const std::size_t nested_end = simple_class_end(at_);
        Translator nested(pattern_.substr(at_, nested_end - at_), source_);
        conditions += "(?=" + nested.translate() + ")";
        at_ = nested_end;
      } else {
        result += c;
        ++at_;
      }
    }
    refuse("a class without end");
  }

  // End of a class that holds no other class.
  std::size_t simple_class_end(std::size_t at) const {
    for (std::size_t i = at + 1; i < pattern_.size(); ++i) {
      if (pattern_[i] == '\\') {
        ++i;
      } else if (pattern_[i] == '[' || (pattern_[i] == '&' && i + 1 < pattern_.size() && pattern_[i + 1] == '&')) {
        refuse("classes nested more than once");
      } else if (pattern_[i] == ']' && i > at + 1) {
        return i + 1;
      }
    }
    refuse("a class without end");
  }

  std::string_view pattern_;
  std::string_view source_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

struct Regex::Impl {
  std::string pattern, source;
  Code code;
};

Regex::Regex(std::string_view pattern, std::string_view source) {
  auto impl = std::make_unique<Impl>();
  impl->pattern = pattern;
  impl->source = source;
  const std::string translated = Translator(pattern, source).translate();
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  impl->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, context.get()));
  if (impl->code == nullptr) {
    throw Error(ErrorCode::model,
                fmt::format("{}: regular expression {}: {}", source, formats::quote(pattern), message_of(error)));
  }
  // Without the compiler PCRE2 interprets.
  pcre2_jit_compile(impl->code.get(), PCRE2_JIT_COMPLETE);
  impl_ = std::move(impl);
}

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

void Regex::for_each_match(std::string_view text, const std::function<void(Match)>& found) const {
  // Valid stretches by themselves: PCRE2 is told not to look at the whole text again for every match.
  const char* end = text.data() + text.size();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.data() + at, end);
    if (!c.valid) {
      if (at > begin) match_valid(text.substr(begin, at - begin), begin, found);
      begin = at + 1;
    }
    at += c.length;
  }
  if (begin < text.size() || text.empty()) match_valid(text.substr(begin), begin, found);
}

void Regex::match_valid(std::string_view text, std::size_t offset, const std::function<void(Match)>& found) const {
  const MatchContext context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  const MatchData data(pcre2_match_data_create_from_pattern(impl_->code.get(), nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto match_from = [&](std::size_t at, std::uint32_t options) {
    return pcre2_match(impl_->code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK | options, data.get(),
                       context.get());
  };
  std::size_t at = 0;
  std::optional<std::size_t> last_end;
  while (at <= text.size()) {
    int result = match_from(at, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match_from(at, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      throw Error(ErrorCode::model,
                  fmt::format("{}: regular expression {}: {} at byte {} of a text of {} bytes", impl_->source,
                              formats::quote(impl_->pattern), message_of(result), at, text.size()));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const Match match{ends[0], ends[1]};
    if (match.end < match.begin) return;  // \K behind a lookahead
    if (match.begin == match.end && last_end == match.end) {
      if (at >= text.size()) return;
      at += decode_utf8(text.data() + at, text.data() + text.size()).length;
      continue;
    }
    found({offset + match.begin, offset + match.end});
    at = match.end;
    last_end = match.end;
  }
}

std::string Regex::replace_all(std::string_view text, std::string_view replacement) const {
  std::string out;
  std::size_t done = 0;
  for_each_match(text, [&](Match match) {
    out.append(text.substr(done, match.begin - done));
    out.append(replacement);
    done = match.end;
  });
  out.append(text.substr(done));
  return out;
}

}  // namespace llm::tokenizer
