#include "tokenizer/script_splitter.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace llm::tokenizer {

namespace {

struct ScriptRange {
  char32_t first, last;
  unsigned char script;
};
constexpr ScriptRange kScripts[] = {
#include "tokenizer/script_classes.inc"
};
constexpr unsigned char kAnyScript = 0;

unsigned char script_of(char32_t c) {
  const auto* range = std::lower_bound(std::begin(kScripts), std::end(kScripts), c,
                                       [](const ScriptRange& r, char32_t x) { return r.last < x; });
  return range != std::end(kScripts) && c >= range->first ? range->script : kAnyScript;
}

class ScriptSplitter : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    std::size_t begin = std::string_view::npos;
    unsigned char last = kAnyScript;
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = decode_utf8(text.data() + at, text.data() + text.size());
      const unsigned char script = script_of(c.code_point);
      if (script != kAnyScript && script != last) {
        if (begin != std::string_view::npos) out.piece(text.substr(begin, at - begin));
        begin = at;
        last = script;
      }
      at += c.length;
    }
    if (begin != std::string_view::npos) out.piece(text.substr(begin));
  }
};

class LengthSplitter : public Splitter {
 public:
  explicit LengthSplitter(std::size_t length) : length_(length) {}
  void split(std::string_view text, PieceSink& out) const override {
    std::size_t begin = 0, n = 0;
    for (std::size_t at = 0; at < text.size();) {
      at += decode_utf8(text.data() + at, text.data() + text.size()).length;
      if (++n == length_) {
        out.piece(text.substr(begin, at - begin));
        begin = at;
        n = 0;
      }
    }
    if (begin < text.size()) out.piece(text.substr(begin));
  }

 private:
  std::size_t length_;
};

}  // namespace

std::unique_ptr<const Splitter> make_script_splitter() {
  return std::make_unique<ScriptSplitter>();
}

std::unique_ptr<const Splitter> make_length_splitter(std::size_t length) {
  return std::make_unique<LengthSplitter>(length);
}

}  // namespace llm::tokenizer
