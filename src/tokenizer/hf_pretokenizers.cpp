#include "base/utf8.h"
#include "tokenizer/bert_text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/hf_json.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/regex_splitter.h"
#include "tokenizer/run_splitters.h"
#include "tokenizer/script_splitter.h"
#include "tokenizer/unicode.h"

namespace llm::tokenizer::hf {

namespace {

// Puts a space before a text that does not start with one.
class SpacePrefixer : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    if (text.empty() || text[0] == ' ') return out.piece(text);
    std::string prefixed = " ";
    prefixed.append(text);
    out.piece(prefixed);
  }
};

// Writes bytes as their stand-ins.
class StandInWriter : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    std::string stand_ins;
    append_stand_ins(text, stand_ins);
    out.piece(stand_ins);
  }
};

class MetaspaceSplitter : public Splitter {
 public:
  explicit MetaspaceSplitter(const Part& part)
      : mark_(part.text_or("replacement", "▁")), splits_(part.flag_or("split", true)) {
    if (mark_.empty()) part.fail("replacement is empty");
    std::string scheme = part.text_or("prepend_scheme", "");
    if (scheme.empty()) scheme = part.flag_or("add_prefix_space", true) ? "always" : "never";
    if (scheme != "always" && scheme != "first" && scheme != "never") part.fail("prepend_scheme '" + scheme + "'");
    always_ = scheme == "always";
    first_ = scheme == "first";
  }
  void split(std::string_view text, PieceSink& out) const override { run(text, always_, out); }
  void split_first(std::string_view text, PieceSink& out) const override { run(text, always_ || first_, out); }

 private:
  void run(std::string_view text, bool prepend, PieceSink& out) const {
    std::string marked;
    marked.reserve(text.size() + mark_.size());
    const bool starts_with_mark = text.starts_with(' ') || text.starts_with(mark_);
    if (prepend && !starts_with_mark) marked = mark_;
    for (const char c : text) {
      if (c == ' ') {
        marked += mark_;
      } else {
        marked += c;
      }
    }
    const std::string_view all = marked;
    if (all.empty()) return;
    if (!splits_) return out.piece(all);
    for (std::size_t begin = 0; begin < all.size();) {
      const std::size_t end =
          std::min(all.find(mark_, begin == 0 && !all.starts_with(mark_) ? 0 : begin + mark_.size()), all.size());
      out.piece(all.substr(begin, end - begin));
      begin = end;
    }
  }

  std::string mark_;
  bool splits_, always_ = false, first_ = false;
};

// `\w+|[^\w\s]+` without what lies between.
class WordSymbolSplitter : public Splitter {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    std::size_t begin = 0;
    int kind = 0;
    const char* end = text.data() + text.size();
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = decode_utf8(text.data() + at, end);
      const int next = kind_of(c.code_point);
      if (next != kind) {
        if (kind != 0) out.piece(text.substr(begin, at - begin));
        begin = at;
        kind = next;
      }
      at += c.length;
    }
    if (kind != 0) out.piece(text.substr(begin));
  }

 private:
  static int kind_of(char32_t c) {
    const bool joiner = c == 0x200C || c == 0x200D;
    if (joiner || is_word_character(c)) return 1;
    return (char_flags(c) & kWhiteSpace) != 0 ? 0 : 2;
  }
};

SplitBehavior behavior_of(const Part& part, const std::string& name) {
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  part.fail("unknown behavior '" + name + "'");
}

class PreTokenizerBuilder {
 public:
  explicit PreTokenizerBuilder(bool model_takes_bytes) : model_takes_bytes_(model_takes_bytes) {}

  void add(const Part& part, bool is_last) {
    if (part.is_null()) return;
    const std::string type = part.type();
    if (type == "Sequence") {
      const std::vector<Part> items = part.items("pretokenizers");
      for (std::size_t i = 0; i < items.size(); ++i) add(items[i], is_last && i + 1 == items.size());
    } else if (type == "ByteLevel") {
      add_byte_level(part, is_last);
    } else if (type == "Split") {
      add_split(part);
    } else if (type == "Metaspace") {
      chain().add(std::make_unique<MetaspaceSplitter>(part));
    } else if (type == "BertPreTokenizer") {
      chain().add(make_bert_splitter());
    } else if (type == "Whitespace") {
      chain().add(std::make_unique<WordSymbolSplitter>());
    } else if (type == "WhitespaceSplit") {
      chain().add(make_white_space_dropper());
    } else if (type == "Punctuation") {
      chain().add(make_character_splitter(is_bert_punctuation,
                                          {behavior_of(part, part.text_or("behavior", "Isolated")), false}));
    } else if (type == "Digits") {
      const bool single = part.flag_or("individual_digits", false);
      chain().add(make_run_splitter({class_number, false, single ? 1U : 0U}));
    } else if (type == "CharDelimiterSplit") {
      chain().add(make_literal_splitter(part.text("delimiter"), {SplitBehavior::removed, false}));
    } else if (type == "UnicodeScripts") {
      chain().add(make_script_splitter());
    } else if (type == "FixedLength") {
      const std::int64_t length = part.number_or("length", 5);
      if (length < 1) part.fail("length: expected a number from 1");
      chain().add(make_length_splitter(static_cast<std::size_t>(length)));
    } else {
      part.fail("unknown pre-tokenizer '" + type + "'");
    }
  }

  PreTokenizer take() { return std::move(result_); }

 private:
  SplitterChain& chain() { return result_.splitter; }

  void add_byte_level(const Part& part, bool is_last) {
    if (part.flag_or("add_prefix_space", true)) chain().add(std::make_unique<SpacePrefixer>());
    if (part.flag_or("use_regex", true)) {
      for_each_gpt2_stage();
    }
    if (is_last && model_takes_bytes_) {
      result_.leaves_bytes = true;
    } else {
      chain().add(std::make_unique<StandInWriter>());
    }
  }

  void for_each_gpt2_stage() {
    add_known_pattern(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", chain());
  }

  void add_split(const Part& part) {
    const SplitMode mode{behavior_of(part, part.text("behavior")), part.flag_or("invert", false)};
    const Part pattern = part.at("pattern");
    if (!pattern.has("Regex")) {
      chain().add(make_literal_splitter(pattern.text("String"), mode));
      return;
    }
    const std::string regex = pattern.text("Regex");
    const bool plain = mode.behavior == SplitBehavior::isolated && !mode.invert;
    if (plain && add_known_pattern(regex, chain())) return;
    chain().add(make_regex_splitter(regex, mode, part.place()));
  }

  bool model_takes_bytes_;
  PreTokenizer result_;
};

}  // namespace

PreTokenizer make_pretokenizer(const Part& part, bool model_takes_bytes) {
  PreTokenizerBuilder builder(model_takes_bytes);
  builder.add(part, true);
  return builder.take();
}

}  // namespace llm::tokenizer::hf
