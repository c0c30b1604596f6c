#include <utf8proc.h>

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "tokenizer/base64.h"
#include "tokenizer/bert_text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/character_map.h"
#include "tokenizer/hf_json.h"
#include "tokenizer/older_unicode.h"
#include "tokenizer/regex_splitter.h"
#include "tokenizer/text_cursor.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer::hf {

namespace {

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(const Part& part) {
    for (const Part& item : part.items("normalizers")) steps_.push_back(make_normalizer(item));
  }
  void apply(NormalText& text) const override {
    for (const auto& step : steps_) {
      if (step != nullptr) step->apply(text);
    }
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(NormalForm form) : form_(form) {}
  void apply(NormalText& text) const override { text.text = older::normalize(text.text, form_); }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  void apply(NormalText& text) const override { text.text = to_lower(text.text); }
};

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(const Part& part) {
    options_.clean_text = part.flag_or("clean_text", true);
    options_.handle_chinese_chars = part.flag_or("handle_chinese_chars", true);
    options_.lowercase = part.flag_or("lowercase", true);
    options_.strip_accents = part.flag_or("strip_accents", options_.lowercase);
  }
  void apply(NormalText& text) const override { text.text = bert_normalize(text.text, options_); }

 private:
  BertNormalization options_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalText& text) const override {
    const TextCursor cursor(text.text);
    std::size_t begin = left_ ? cursor.skip(0, kWhiteSpace) : 0;
    std::size_t end = text.text.size();
    if (right_) {
      end = begin;
      for (std::size_t at = begin; at < text.text.size();) {
        const TextChar c = cursor.at(at);
        at = c.end;
        if (!c.is(kWhiteSpace)) end = at;
      }
    }
    if (begin > 0) text.at_start = false;
    text.text = text.text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

// Keeps the characters that `keep` accepts.
class FilterNormalizer : public Normalizer {
 public:
  explicit FilterNormalizer(bool (*keep)(const TextChar&)) : keep_(keep) {}
  void apply(NormalText& text) const override {
    std::string out;
    out.reserve(text.text.size());
    const TextCursor cursor(text.text);
    for (std::size_t at = 0; at < text.text.size();) {
      const TextChar c = cursor.at(at);
      if (keep_(c)) {
        out.append(text.text, at, c.end - at);
      } else if (at == 0) {
        text.at_start = false;
      }
      at = c.end;
    }
    text.text = std::move(out);
  }

 private:
  bool (*keep_)(const TextChar&);
};

// Control characters dropped, other white space and invisible characters become spaces.
class NmtNormalizer : public Normalizer {
 public:
  void apply(NormalText& text) const override {
    std::string out;
    const TextCursor cursor(text.text);
    for (std::size_t at = 0; at < text.text.size();) {
      const TextChar c = cursor.at(at);
      if (is_dropped(c.code_point)) {
        if (at == 0) text.at_start = false;
      } else if (is_space(c.code_point)) {
        out += ' ';
      } else {
        out.append(text.text, at, c.end - at);
      }
      at = c.end;
    }
    text.text = std::move(out);
  }

 private:
  static bool is_dropped(char32_t c) {
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
  }
  static bool is_space(char32_t c) {
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
           c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  }
};

class ReplaceNormalizer : public Normalizer {
 public:
  explicit ReplaceNormalizer(const Part& part) : content_(part.text("content")) {
    const Part pattern = part.at("pattern");
    if (pattern.has("Regex")) {
      regex_.emplace(pattern.text("Regex"), part.place());
    } else {
      literal_ = pattern.text("String");
    }
  }
  void apply(NormalText& text) const override {
    if (regex_) {
      text.text = regex_->replace_all(text.text, content_);
    } else if (!literal_.empty()) {
      std::string out;
      out.reserve(text.text.size());
      std::size_t done = 0;
      for (std::size_t at = text.text.find(literal_); at != std::string::npos; at = text.text.find(literal_, done)) {
        out.append(text.text, done, at - done);
        out += content_;
        done = at + literal_.size();
      }
      out.append(text.text, done);
      text.text = std::move(out);
    }
  }

 private:
  std::string content_, literal_;
  std::optional<Regex> regex_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string text) : text_(std::move(text)) {}
  void apply(NormalText& text) const override {
    if (!text.text.empty()) text.text.insert(0, text_);
  }

 private:
  std::string text_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void apply(NormalText& text) const override {
    std::string out;
    append_stand_ins(text.text, out);
    text.text = std::move(out);
  }
};

// SentencePiece's character map, applied to short grapheme clusters as a whole, else to their characters; of the rules
// that apply at the start of such a text the shortest replaces all of it.
class PrecompiledNormalizer : public Normalizer {
 public:
  explicit PrecompiledNormalizer(const Part& part) {
    const auto blob = decode_base64(part.text_or("precompiled_charsmap", ""));
    if (!blob) part.fail("precompiled_charsmap is no base 64");
    map_ = CharacterMap(*blob, part.place());
  }
  void apply(NormalText& text) const override {
    std::string out;
    out.reserve(text.text.size());
    const std::string_view all = text.text;
    for (std::size_t begin = 0; begin < all.size();) {
      const std::size_t end = grapheme_end(all, begin);
      const std::string_view grapheme = all.substr(begin, end - begin);
      begin = end;
      if (grapheme.size() < kShortGrapheme) {
        if (const auto whole = map_.find_shortest(grapheme)) {
          out += *whole;
          continue;
        }
      }
      for (std::size_t at = 0; at < grapheme.size();) {
        const std::size_t n = decode_utf8(grapheme.data() + at, grapheme.data() + grapheme.size()).length;
        const std::string_view character = grapheme.substr(at, n);
        const auto replacement = map_.find_shortest(character);
        out += replacement ? *replacement : character;
        at += n;
      }
    }
    text.text = std::move(out);
  }

 private:
  static constexpr std::size_t kShortGrapheme = 6;  // bytes

  static std::size_t grapheme_end(std::string_view text, std::size_t at) {
    const char* end = text.data() + text.size();
    Utf8Char c = decode_utf8(text.data() + at, end);
    at += c.length;
    utf8proc_int32_t state = 0;
    while (at < text.size()) {
      const Utf8Char next = decode_utf8(text.data() + at, end);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code_point),
                                           static_cast<utf8proc_int32_t>(next.code_point), &state)) {
        break;
      }
      at += next.length;
      c = next;
    }
    return at;
  }

  CharacterMap map_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const Part& part) {
  if (part.is_null()) return nullptr;
  const std::string type = part.type();
  if (type == "Sequence") return std::make_unique<SequenceNormalizer>(part);
  if (type == "BertNormalizer") return std::make_unique<BertNormalizer>(part);
  if (type == "NFC") return std::make_unique<FormNormalizer>(NormalForm::nfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(NormalForm::nfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(NormalForm::nfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(NormalForm::nfkd);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(part.flag_or("strip_left", true), part.flag_or("strip_right", true));
  }
  if (type == "StripAccents") {
    return std::make_unique<FilterNormalizer>([](const TextChar& c) { return !older::is_mark(c.code_point, c.flags); });
  }
  if (type == "Nmt") return std::make_unique<NmtNormalizer>();
  if (type == "Replace") return std::make_unique<ReplaceNormalizer>(part);
  if (type == "Prepend") return std::make_unique<PrependNormalizer>(part.text("prepend"));
  if (type == "Precompiled") return std::make_unique<PrecompiledNormalizer>(part);
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  part.fail("unknown normalizer '" + type + "'");
}

}  // namespace llm::tokenizer::hf
