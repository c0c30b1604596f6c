// Oniguruma's syntax: doc/RE of its source (ONIG_SYNTAX_RUBY). PCRE2's: pcre2pattern(3).
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex_translator.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <cctype>
#include <llm/error.hpp>
#include <vector>

#include "formats/quote.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer {

namespace {

constexpr int kDeepestClass = 50;

// Insides of a PCRE2 class.
constexpr std::string_view kWhiteSpaceSet =
    R"(\t-\r\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
// Han since Unicode 15.
constexpr std::string_view kNewHan = R"(\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";
constexpr std::string_view kHexSet = "0-9a-fA-F";

struct Category {
  std::string_view name, long_name, pcre2;
  CharFlags flags = 0;  // of the characters to add to PCRE2's table
};
constexpr Category kCategories[] = {
    {"l", "letter", "L", kLetter},
    {"lu", "uppercaseletter", "Lu", kUpper},
    {"ll", "lowercaseletter", "Ll", kLower},
    {"lt", "titlecaseletter", "Lt", kTitle},
    {"lm", "modifierletter", "Lm", kModifierLetter},
    {"lo", "otherletter", "Lo", kOtherLetter},
    {"lc", "casedletter", "L&", kUpper | kLower | kTitle},
    {"m", "mark", "M", kMark},
    {"m", "combiningmark", "M", kMark},
    {"mn", "nonspacingmark", "Mn", kNonSpacingMark},
    {"mc", "spacingmark", "Mc", kOtherMark},
    {"me", "enclosingmark", "Me"},
    {"n", "number", "N", kNumber},
    {"nd", "decimalnumber", "Nd", kDecimalDigit},
    {"nd", "digit", "Nd", kDecimalDigit},
    {"nl", "letternumber", "Nl"},
    {"no", "othernumber", "No", kOtherNumber},
    {"p", "punctuation", "P", kPunctuation},
    {"pc", "connectorpunctuation", "Pc"},
    {"pd", "dashpunctuation", "Pd"},
    {"ps", "openpunctuation", "Ps"},
    {"pe", "closepunctuation", "Pe"},
    {"pi", "initialpunctuation", "Pi"},
    {"pf", "finalpunctuation", "Pf"},
    {"po", "otherpunctuation", "Po", kPunctuation},
    {"s", "symbol", "S", kSymbol},
    {"sm", "mathsymbol", "Sm"},
    {"sc", "currencysymbol", "Sc"},
    {"sk", "modifiersymbol", "Sk"},
    {"so", "othersymbol", "So", kSymbol},
    {"z", "separator", "Z"},
    {"zs", "spaceseparator", "Zs"},
    {"zl", "lineseparator", "Zl"},
    {"zp", "paragraphseparator", "Zp"},
    {"c", "other", "C"},
    {"cc", "control", "Cc"},
    {"cf", "format", "Cf", kControl},
    {"co", "privateuse", "Co"},
};

std::string category_set(std::string_view pcre2, CharFlags flags) {
  // Ranges first, so that a hyphen that follows is one.
  return fmt::format("{}\\p{{{}}}", flags == 0 ? std::string() : detail::added_ranges(flags), pcre2);
}

std::string alphabetic_set() {
  return detail::added_ranges(kLetter) + "\\p{Alphabetic}";
}
std::string word_set() {
  return detail::added_ranges(kLetter | kMark | kDecimalDigit) + "\\p{Pc}\\p{Nd}\\p{M}\\p{Alphabetic}";
}

// By the names of POSIX classes.
std::string posix_set(std::string_view name) {
  if (name == "alpha") return alphabetic_set();
  if (name == "alnum") return alphabetic_set() + category_set("Nd", kDecimalDigit);
  if (name == "digit") return category_set("Nd", kDecimalDigit);
  if (name == "lower") return category_set("Lowercase", kLower);
  if (name == "upper") return category_set("Uppercase", kUpper);
  if (name == "space") return std::string(kWhiteSpaceSet);
  if (name == "blank") return R"(\t\p{Zs})";
  if (name == "cntrl") return R"(\p{Cc})";
  if (name == "punct") return category_set("P", kPunctuation) + category_set("S", kSymbol);
  if (name == "graph") return "[:graph:]";
  if (name == "print") return "[:print:]";
  if (name == "xdigit") return std::string(kHexSet);
  if (name == "word") return word_set();
  if (name == "ascii") return R"(\x{0}-\x{7f})";
  if (name == "any") return R"(\x{0}-\x{10ffff})";
  return "";
}

// A set of characters: the inside of a class, and patterns that match one character each.
struct Set {
  std::string simple;
  std::vector<std::string> others;

  bool is_simple() const { return others.empty(); }
  void add(const Set& more) {
    simple += more.simple;
    others.insert(others.end(), more.others.begin(), more.others.end());
  }
  std::string pattern() const {
    if (others.empty()) return simple.empty() ? "(?!)" : "[" + simple + "]";
    std::string all = "(?:";
    if (!simple.empty()) all += "[" + simple + "]|";
    for (std::size_t i = 0; i < others.size(); ++i) all += (i == 0 ? "" : "|") + others[i];
    return all + ")";
  }
  Set complement() const {
    if (is_simple() && !simple.empty()) return {"", {"[^" + simple + "]"}};
    return {"", {"(?:(?!" + pattern() + ")(?s:.))"}};
  }
};

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view source) : pattern_(pattern), source_(source) {}

  std::string translate() {
    while (at_ < pattern_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(ErrorCode::model,
                fmt::format("{}: regular expression {}: {}", source_, formats::quote(pattern_), what));
  }

  bool follows(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }

  void step() {
    const char c = pattern_[at_];
    if (c == '(') {
      open_group();
    } else if (c == ')') {
      if (!groups_.empty()) {
        atom_ = groups_.back();
        groups_.pop_back();
      }
      out_ += c;
      ++at_;
    } else if (c == '{' && interval()) {
      return;
    } else if (c == '*' || c == '+' || c == '?' || c == '|') {
      out_ += c;
      ++at_;
    } else {
      atom_ = out_.size();
      if (c == '\\') {
        out_ += escape();
      } else if (c == '[') {
        out_ += char_class(0).pattern();
      } else {
        out_ += c;
        ++at_;
      }
    }
  }

  // Of the options in "(?imx-imx:" m is the one that has another letter.
  void open_group() {
    groups_.push_back(out_.size());
    if (follows("(?#")) {
      const std::size_t end = pattern_.find(')', at_);
      if (end == std::string_view::npos) refuse("a comment without end");
      groups_.pop_back();
      at_ = end + 1;
      return;
    }
    out_ += '(';
    ++at_;
    if (!follows("?")) return;
    const std::size_t end = pattern_.find_first_not_of("imx-", at_ + 1);
    if (end == std::string_view::npos || end == at_ + 1 || (pattern_[end] != ':' && pattern_[end] != ')')) return;
    for (; at_ <= end; ++at_) out_ += pattern_[at_] == 'm' ? 's' : pattern_[at_];
    if (pattern_[end] == ')') groups_.pop_back();
  }

  // {n}, {n,}, {,m}, {n,m}; a + behind repeats it. False: no interval.
  bool interval() {
    const std::size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) return false;
    std::string inside(pattern_.substr(at_ + 1, end - at_ - 1));
    const bool good = !inside.empty() && inside != "," &&
                      inside.find_first_not_of("0123456789,") == std::string::npos &&
                      std::count(inside.begin(), inside.end(), ',') <= 1;
    if (!good || atom_ > out_.size()) return false;
    if (inside[0] == ',') inside.insert(0, "0");
    out_ += "{" + inside + "}";
    at_ = end + 1;
    if (follows("+")) {
      out_.insert(atom_, "(?:");
      out_ += ")";
    }
    return true;
  }

  std::string escape() {
    if (at_ + 1 >= pattern_.size()) refuse("ends in a backslash");
    const char c = pattern_[at_ + 1];
    Set set;
    if (escaped_set(set)) return set.pattern();
    if (c == 'b' || c == 'B') {
      at_ += 2;
      // Oniguruma's boundaries count superscripts and fractions of Latin-1 as words.
      const std::string word = "[\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}" + word_set() + "]";
      if (c == 'b') return fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
      return fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word);
    }
    return plain_escape();
  }

  // A character, or what means the same in both dialects.
  std::string plain_escape() {
    const char c = pattern_[at_ + 1];
    at_ += 2;
    if (c == 'u') {
      const std::string_view digits = pattern_.substr(at_, 4);
      const bool good = digits.size() == 4 && std::all_of(digits.begin(), digits.end(),
                                                          [](unsigned char d) { return std::isxdigit(d) != 0; });
      if (!good) refuse("\\u without four hexadecimal digits");
      at_ += 4;
      return fmt::format("\\x{{{}}}", digits);
    }
    const std::size_t close = c == 'x' && follows("{") ? pattern_.find('}', at_) : std::string_view::npos;
    if (close != std::string_view::npos) {
      const std::string_view number = pattern_.substr(at_, close + 1 - at_);
      at_ = close + 1;
      return fmt::format("\\x{}", number);
    }
    // A backslash before a character of several bytes quotes it.
    if (static_cast<unsigned char>(c) >= 0x80) return std::string(1, c);
    return {'\\', c};
  }

  // \w \W \s \S \d \D \h \H \p{...} \P{...}: true, with at_ behind it.
  bool escaped_set(Set& set) {
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 'w':
      case 'W':
        set.simple = word_set();
        break;
      case 's':
      case 'S':
        set.simple = kWhiteSpaceSet;
        break;
      case 'd':
      case 'D':
        set.simple = category_set("Nd", kDecimalDigit);
        break;
      case 'h':
      case 'H':
        set.simple = kHexSet;
        break;
      case 'p':
      case 'P':
        set = property();
        return true;
      default:
        return false;
    }
    at_ += 2;
    if (std::isupper(static_cast<unsigned char>(c)) != 0) set = set.complement();
    return true;
  }

  Set property() {
    bool negated = pattern_[at_ + 1] == 'P';
    const std::size_t end = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || end == std::string_view::npos) {
      refuse("\\p without {name}");
    }
    std::string_view given = pattern_.substr(at_ + 3, end - at_ - 3);
    at_ = end + 1;
    if (given.starts_with('^')) {
      negated = !negated;
      given.remove_prefix(1);
    }
    std::string name;
    for (const char c : given) {
      if (c != ' ' && c != '_' && c != '-') name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    Set set;
    const auto* category = std::find_if(std::begin(kCategories), std::end(kCategories), [&](const Category& known) {
      return known.name == name || known.long_name == name;
    });
    if (category != std::end(kCategories)) {
      set.simple = category_set(category->pcre2, category->flags);
    } else {
      set.simple = posix_set(name);
      if (set.simple.empty()) set.simple = script_or_property(given);
    }
    return negated ? set.complement() : set;
  }

  // PCRE2 takes the bare name of a script for the script's extensions.
  static std::string script_or_property(std::string_view name) {
    const std::string script = fmt::format("\\p{{sc:{}}}", name);
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(script.data()), script.size(), PCRE2_UTF, &error, &offset, nullptr);
    if (code == nullptr) return fmt::format("\\p{{{}}}", name);
    pcre2_code_free(code);
    const bool han = name == "Han" || name == "han";
    return (han ? std::string(kNewHan) : std::string()) + script;
  }

  // From a [ to behind its ].
  Set char_class(int depth) {
    if (depth > kDeepestClass) refuse("classes nested too deeply");
    ++at_;
    const bool negated = at_ < pattern_.size() && pattern_[at_] == '^';
    if (negated) ++at_;
    Set all;
    std::string conditions;  // of the operands of && before the last
    for (bool first = true;; first = false) {
      if (at_ >= pattern_.size()) refuse("a class without end");
      const char c = pattern_[at_];
      if (c == ']' && !first) break;
      if (follows("&&")) {
        at_ += 2;
        conditions += "(?=" + all.pattern() + ")";
        all = {};
      } else if (c == '[') {
        all.add(follows("[:") && pattern_.find(":]", at_) != std::string_view::npos ? posix_class()
                                                                                    : char_class(depth + 1));
      } else if (c == '\\') {
        if (at_ + 1 >= pattern_.size()) refuse("ends in a backslash");
        Set set;
        if (escaped_set(set)) {
          all.add(set);
        } else {
          all.simple += plain_escape();
        }
      } else {
        all.simple += c;
        ++at_;
      }
    }
    ++at_;
    if (!conditions.empty()) all = {"", {"(?:" + conditions + all.pattern() + ")"}};
    return negated ? all.complement() : all;
  }

  Set posix_class() {
    const std::size_t end = pattern_.find(":]", at_);
    std::string_view name = pattern_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    Set set{posix_set(name), {}};
    if (set.simple.empty()) refuse(fmt::format("unknown class [:{}:]", name));
    at_ = end + 2;
    return negated ? set.complement() : set;
  }

  std::string_view pattern_;
  std::string_view source_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = 0;             // where in out_ what a quantifier repeats starts
  std::vector<std::size_t> groups_;  // where open groups start in out_
};

}  // namespace

std::string translate_regex(std::string_view pattern, std::string_view source) {
  return Translator(pattern, source).translate();
}

}  // namespace llm::tokenizer
