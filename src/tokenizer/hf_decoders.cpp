#include <algorithm>
#include <functional>
#include <optional>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/hf_json.h"
#include "tokenizer/regex_splitter.h"

namespace llm::tokenizer::hf {

namespace {

std::string replace_text(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t done = 0;
  if (!from.empty()) {
    for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
      out.append(text.substr(done, at - done));
      out.append(to);
      done = at + from.size();
    }
  }
  out.append(text.substr(done));
  return out;
}

// What a token becomes; `first`: nothing stands before it.
using TokenFunction = std::function<std::string(std::string_view token, bool first)>;

// A step that looks at one token at a time.
class TokenDecoder : public Decoder {
 public:
  explicit TokenDecoder(TokenFunction function) : function_(std::move(function)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(function_); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(const TokenFunction& function) : function_(function) {}
    void push(std::string_view token, TokenSink& out) override {
      out.token(function_(token, first_));
      first_ = false;
    }

   private:
    const TokenFunction& function_;
    bool first_ = true;
  };
  TokenFunction function_;
};

std::string clean_up(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) text = replace_text(text, from, to);
  return text;
}

std::unique_ptr<const Decoder> make_wordpiece_decoder(const Part& part) {
  return std::make_unique<TokenDecoder>([prefix = part.text_or("prefix", "##"),
                                         cleanup = part.flag_or("cleanup", true)](std::string_view token, bool first) {
    std::string text;
    if (!first && token.starts_with(prefix)) {
      text = token.substr(prefix.size());
    } else {
      text = first ? "" : " ";
      text.append(token);
    }
    return cleanup ? clean_up(std::move(text)) : text;
  });
}

std::unique_ptr<const Decoder> make_metaspace_decoder(const Part& part) {
  std::string scheme = part.text_or("prepend_scheme", "");
  if (scheme.empty()) scheme = part.flag_or("add_prefix_space", true) ? "always" : "never";
  return std::make_unique<TokenDecoder>(
      [mark = part.text_or("replacement", "▁"), never = scheme == "never"](std::string_view token, bool first) {
        return replace_text(token, mark, first && !never ? "" : " ");
      });
}

std::unique_ptr<const Decoder> make_replace_decoder(const Part& part) {
  const Part pattern = part.at("pattern");
  const std::string content = part.text("content");
  if (pattern.has("Regex")) {
    return std::make_unique<TokenDecoder>(
        [regex = std::make_shared<Regex>(pattern.text("Regex"), part.place()), content](std::string_view token, bool) {
          return regex->replace_all(token, content);
        });
  }
  return std::make_unique<TokenDecoder>([literal = pattern.text("String"), content](std::string_view token, bool) {
    return replace_text(token, literal, content);
  });
}

struct StripRule {
  std::string content;  // one character
  std::size_t start = 0, stop = 0;

  explicit StripRule(const Part& part) : content(part.text_or("content", " ")) {
    const std::int64_t n_start = part.number_or("start", 0), n_stop = part.number_or("stop", 0);
    if (n_start < 0 || n_stop < 0 || content.empty()) part.fail("Strip: expected a character and counts from 0");
    start = static_cast<std::size_t>(n_start);
    stop = static_cast<std::size_t>(n_stop);
  }
};

std::unique_ptr<const Decoder> make_strip_decoder(const Part& part) {
  return std::make_unique<TokenDecoder>([rule = StripRule(part)](std::string_view token, bool) {
    for (std::size_t i = 0; i < rule.start && token.starts_with(rule.content); ++i) {
      token.remove_prefix(rule.content.size());
    }
    for (std::size_t i = 0; i < rule.stop && token.ends_with(rule.content); ++i) {
      token.remove_suffix(rule.content.size());
    }
    return std::string(token);
  });
}

// Repeated tokens count once; a token of which nothing is left is none.
class CtcDecoder : public Decoder {
 public:
  explicit CtcDecoder(const Part& part)
      : pad_(part.text_or("pad_token", "<pad>")),
        delimiter_(part.text_or("word_delimiter_token", "|")),
        cleanup_(part.flag_or("cleanup", true)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(*this); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(const CtcDecoder& decoder) : decoder_(decoder) {}
    void push(std::string_view token, TokenSink& out) override {
      if (last_ == token) return;
      last_ = token;
      std::string text = replace_text(token, decoder_.pad_, "");
      if (decoder_.cleanup_) text = replace_text(clean_up(std::move(text)), decoder_.delimiter_, " ");
      if (!text.empty()) out.token(text);
    }

   private:
    const CtcDecoder& decoder_;
    std::optional<std::string> last_;
  };
  std::string pad_, delimiter_;
  bool cleanup_;
};

// The suffix of a word becomes a space, but for the last token.
class SuffixDecoder : public Decoder {
 public:
  explicit SuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(suffix_); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(const std::string& suffix) : suffix_(suffix) {}
    void push(std::string_view token, TokenSink& out) override {
      if (held_) out.token(replace_text(*held_, suffix_, " "));
      held_ = token;
    }
    void finish(TokenSink& out) override {
      if (held_) out.token(replace_text(*held_, suffix_, ""));
      held_.reset();
    }

   private:
    const std::string& suffix_;
    std::optional<std::string> held_;
  };
  std::string suffix_;
};

// "<0xXX>" tokens become bytes. `gathers`: neighbouring ones are one token for the steps that follow, if they are
// valid UTF-8.
class ByteFallbackDecoder : public Decoder {
 public:
  explicit ByteFallbackDecoder(bool gathers) : gathers_(gathers) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(gathers_); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(bool gathers) : gathers_(gathers) {}
    void push(std::string_view token, TokenSink& out) override {
      const int byte = byte_token_value(token);
      if (byte < 0) {
        finish(out);
        out.token(token);
        return;
      }
      const char c = static_cast<char>(byte);
      if (gathers_) {
        bytes_ += c;
      } else {
        out.token({&c, 1});
      }
    }
    void finish(TokenSink& out) override {
      if (bytes_.empty()) return;
      if (is_valid_utf8(bytes_)) {
        out.token(bytes_);
      } else {
        for (const char& c : bytes_) out.token({&c, 1});
      }
      bytes_.clear();
    }

   private:
    bool gathers_;
    std::string bytes_;
  };
  bool gathers_;
};

// After a Fuse all tokens are one text, which arrives in parts. A step that has to see all of it gets it at the end.
class WholeTextDecoder : public Decoder {
 public:
  explicit WholeTextDecoder(std::unique_ptr<const Decoder> inner) : inner_(std::move(inner)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(inner_->start()); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(std::unique_ptr<DecodeStep> inner) : inner_(std::move(inner)) {}
    void push(std::string_view part, TokenSink&) override { text_ += part; }
    void finish(TokenSink& out) override {
      if (!text_.empty()) inner_->push(text_, out);
      inner_->finish(out);
      text_.clear();
    }

   private:
    std::unique_ptr<DecodeStep> inner_;
    std::string text_;
  };
  std::unique_ptr<const Decoder> inner_;
};

// Takes characters off the ends of a fused text. Only a run of them at the end is held back.
class FusedStripDecoder : public Decoder {
 public:
  explicit FusedStripDecoder(StripRule rule) : rule_(std::move(rule)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(rule_); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(const StripRule& rule) : rule_(rule), to_drop_(rule.start) {}
    void push(std::string_view part, TokenSink& out) override {
      held_ += part;
      const std::string& c = rule_.content;
      while (to_drop_ > 0 && held_.size() >= c.size()) {
        if (held_.starts_with(c)) {
          held_.erase(0, c.size());
          --to_drop_;
        } else {
          to_drop_ = 0;
        }
      }
      if (to_drop_ > 0) return;
      std::size_t keep = held_.size();
      if (rule_.stop > 0) {
        while (keep >= c.size() && std::string_view(held_).substr(0, keep).ends_with(c)) keep -= c.size();
        // The start of one more may stand before them.
        if (c.size() > 1) keep -= std::min(keep, c.size() - 1);
      }
      if (keep > 0) out.token(std::string_view(held_).substr(0, keep));
      held_.erase(0, keep);
    }
    void finish(TokenSink& out) override {
      for (std::size_t n = rule_.stop; n > 0 && held_.ends_with(rule_.content); --n) {
        held_.resize(held_.size() - rule_.content.size());
      }
      if (!held_.empty()) out.token(held_);
      held_.clear();
    }

   private:
    const StripRule& rule_;
    std::size_t to_drop_;
    std::string held_;
  };
  StripRule rule_;
};

// Steps one after the other.
class ChainDecoder : public Decoder {
 public:
  explicit ChainDecoder(std::vector<std::unique_ptr<const Decoder>> steps) : steps_(std::move(steps)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(*this); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(const ChainDecoder& decoder) {
      for (const auto& step : decoder.steps_) steps_.push_back(step->start());
    }
    void push(std::string_view token, TokenSink& out) override { Link(*this, 0, out).token(token); }
    void finish(TokenSink& out) override {
      for (std::size_t i = 0; i < steps_.size(); ++i) {
        Link next(*this, i + 1, out);
        steps_[i]->finish(next);
      }
    }

   private:
    // Hands tokens to the step number `at` and those behind it.
    class Link : public TokenSink {
     public:
      Link(const Step& chain, std::size_t at, TokenSink& out) : chain_(chain), at_(at), out_(out) {}
      void token(std::string_view token) override {
        if (at_ == chain_.steps_.size()) return out_.token(token);
        Link next(chain_, at_ + 1, out_);
        chain_.steps_[at_]->push(token, next);
      }

     private:
      const Step& chain_;
      std::size_t at_;
      TokenSink& out_;
    };
    std::vector<std::unique_ptr<DecodeStep>> steps_;
  };
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

std::unique_ptr<const Decoder> make_byte_level_decoder() {
  return std::make_unique<TokenDecoder>([](std::string_view token, bool) {
    std::string bytes;
    if (!append_bytes_of_stand_ins(token, bytes)) bytes = token;
    return bytes;
  });
}

class Builder {
 public:
  // `is_end`: nothing that tells tokens apart follows.
  void add(const Part& part, bool is_end) {
    const std::string type = part.type();
    if (type == "Sequence") {
      const std::vector<Part> items = part.items("decoders");
      for (std::size_t i = 0; i < items.size(); ++i) {
        const bool last = i + 1 == items.size();
        add(items[i], last ? is_end : items[i + 1].type() == "Fuse");
      }
    } else if (type == "Fuse") {
      fused_ = true;
    } else if (type == "Strip" && fused_) {
      steps_.push_back(std::make_unique<FusedStripDecoder>(StripRule(part)));
    } else {
      std::unique_ptr<const Decoder> step = make_step(part, type, is_end);
      steps_.push_back(fused_ ? std::make_unique<WholeTextDecoder>(std::move(step)) : std::move(step));
      if (type == "ByteLevel") fused_ = true;
    }
  }
  std::unique_ptr<const Decoder> take() {
    if (steps_.size() == 1) return std::move(steps_[0]);
    return std::make_unique<ChainDecoder>(std::move(steps_));
  }

 private:
  static std::unique_ptr<const Decoder> make_step(const Part& part, const std::string& type, bool is_end) {
    if (type == "ByteLevel") return make_byte_level_decoder();
    if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>(!is_end);
    if (type == "WordPiece") return make_wordpiece_decoder(part);
    if (type == "Metaspace") return make_metaspace_decoder(part);
    if (type == "Replace") return make_replace_decoder(part);
    if (type == "Strip") return make_strip_decoder(part);
    if (type == "BPEDecoder") return std::make_unique<SuffixDecoder>(part.text_or("suffix", "</w>"));
    if (type == "CTC") return std::make_unique<CtcDecoder>(part);
    part.fail("unknown decoder '" + type + "'");
  }

  bool fused_ = false;
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const Part& part) {
  if (part.is_null()) {
    return std::make_unique<TokenDecoder>([](std::string_view token, bool first) {
      std::string text = first ? "" : " ";
      text.append(token);
      return text;
    });
  }
  Builder builder;
  builder.add(part, true);
  return builder.take();
}

}  // namespace llm::tokenizer::hf
