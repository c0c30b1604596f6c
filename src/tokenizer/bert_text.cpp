#include "tokenizer/bert_text.h"

#include "base/utf8.h"
#include "tokenizer/character_set.h"
#include "tokenizer/older_unicode.h"
#include "tokenizer/text_cursor.h"

namespace llm::tokenizer {

namespace {

// CJK blocks as BERT's basic tokenizer lists them.
constexpr CharacterRange kIdeographs[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                          {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                          {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};

class BertSplitter : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    const TextCursor cursor(text);
    std::size_t start = 0;
    const auto flush = [&](std::size_t end) {
      if (end > start) out.piece(text.substr(start, end - start));
    };
    for (std::size_t at = 0; at < text.size();) {
      const TextChar c = cursor.at(at);
      if (c.is(kWhiteSpace)) {
        flush(at);
        start = c.end;
      } else if (is_bert_punctuation(c.code_point)) {
        flush(at);
        out.piece(text.substr(at, c.end - at));
        start = c.end;
      }
      at = c.end;
    }
    flush(text.size());
  }
};

}  // namespace

bool is_bert_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  }
  return older::is_punctuation(c, char_flags(c));
}

std::string bert_normalize(std::string_view text, const BertNormalization& options) {
  std::string out;
  out.reserve(text.size());
  const TextCursor cursor(text);
  for (std::size_t at = 0; at < text.size();) {
    const TextChar c = cursor.at(at);
    const std::string_view bytes = text.substr(at, c.end - at);
    at = c.end;
    if (options.clean_text) {
      if (c.code_point == '\t' || c.is(kNewline)) {
        out += ' ';
        continue;
      }
      if (c.code_point == 0 || c.code_point == kReplacementCharacter || older::is_control(c.code_point, c.flags)) {
        continue;
      }
      if (c.is(kWhiteSpace)) {
        out += ' ';
        continue;
      }
    }
    if (options.handle_chinese_chars && contains(kIdeographs, c.code_point)) {
      out += ' ';
      out += bytes;
      out += ' ';
    } else {
      out += bytes;
    }
  }
  if (options.strip_accents) {
    const std::string decomposed = older::normalize(out, NormalForm::nfd);
    out.clear();
    const TextCursor marks(decomposed);
    for (std::size_t at = 0; at < decomposed.size();) {
      const TextChar c = marks.at(at);
      if (!older::is_non_spacing_mark(c.code_point, c.flags)) out.append(decomposed, at, c.end - at);
      at = c.end;
    }
  }
  return options.lowercase ? to_lower(out) : out;
}

std::unique_ptr<const Splitter> make_bert_splitter() {
  return std::make_unique<BertSplitter>();
}

}  // namespace llm::tokenizer
