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

// A step that looks at one token at a time.
class TokenStep : public DecodeStep {
 public:
  using Function = std::function<std::string(std::string_view token, bool first)>;
  explicit TokenStep(const Function& function) : function_(function) {}
  void push(std::string_view token, std::string& out) override {
    out += function_(token, first_);
    first_ = false;
  }
  void finish(std::string&) override {}

 private:
  const Function& function_;
  bool first_ = true;
};

class TokenDecoder : public Decoder {
 public:
  explicit TokenDecoder(TokenStep::Function function) : function_(std::move(function)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<TokenStep>(function_); }

 private:
  TokenStep::Function function_;
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

std::unique_ptr<const Decoder> make_ctc_decoder(const Part& part) {
  return std::make_unique<TokenDecoder>([pad = part.text_or("pad_token", "<pad>"),
                                         delimiter = part.text_or("word_delimiter_token", "|"),
                                         cleanup = part.flag_or("cleanup", true)](std::string_view token, bool) {
    std::string text = replace_text(token, pad, "");
    return cleanup ? replace_text(clean_up(std::move(text)), delimiter, " ") : text;
  });
}

// The suffix of a word becomes a space, but for the last token.
class SuffixDecoder : public Decoder {
 public:
  explicit SuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(suffix_); }

 private:
  class Step : public DecodeStep {
   public:
    explicit Step(const std::string& suffix) : suffix_(suffix) {}
    void push(std::string_view token, std::string& out) override {
      if (held_) out += replace_text(*held_, suffix_, " ");
      held_ = token;
    }
    void finish(std::string& out) override {
      if (held_) out += replace_text(*held_, suffix_, "");
      held_.reset();
    }

   private:
    const std::string& suffix_;
    std::optional<std::string> held_;
  };
  std::string suffix_;
};

// Steps one after the other. Up to a Fuse they are functions of single tokens; a Fuse joins what follows to one text,
// of which Strip takes characters off the ends.
class SequenceDecoder : public Decoder {
 public:
  explicit SequenceDecoder(const Part& part) {
    const std::vector<Part> items = part.items("decoders");
    std::size_t i = 0;
    for (; i < items.size() && items[i].type() != "Fuse"; ++i) add_step(items[i]);
    for (; i < items.size(); ++i) {
      const std::string type = items[i].type();
      if (type == "Fuse") continue;
      if (type != "Strip") items[i].fail("decoder '" + type + "' after Fuse");
      const std::string content = items[i].text_or("content", " ");
      const std::int64_t start = items[i].number_or("start", 0), stop = items[i].number_or("stop", 0);
      if (start < 0 || stop < 0 || content.size() != 1) items[i].fail("Strip of more than single ASCII characters");
      strips_.push_back({content[0], static_cast<std::size_t>(start), static_cast<std::size_t>(stop)});
    }
    if (strips_.size() > 1) part.fail("more than one Strip after Fuse");
  }
  std::unique_ptr<DecodeStep> start() const override { return std::make_unique<Step>(*this); }

 private:
  struct Strip {
    char content = ' ';
    std::size_t start = 0, stop = 0;
  };

  void add_step(const Part& part) { steps_.push_back(make_decoder(part)); }

  class Step : public DecodeStep {
   public:
    explicit Step(const SequenceDecoder& decoder) : decoder_(decoder) {
      for (const auto& step : decoder.steps_) steps_.push_back(step->start());
      if (!decoder.strips_.empty()) to_drop_ = decoder.strips_[0].start;
    }
    void push(std::string_view token, std::string& out) override {
      std::string text(token);
      for (const auto& step : steps_) {
        std::string next;
        step->push(text, next);
        text = std::move(next);
      }
      fused(text, out);
    }
    void finish(std::string& out) override {
      for (std::size_t i = 0; i < steps_.size(); ++i) {
        std::string text;
        steps_[i]->finish(text);
        if (text.empty()) continue;
        for (std::size_t k = i + 1; k < steps_.size(); ++k) {
          std::string next;
          steps_[k]->push(text, next);
          text = std::move(next);
        }
        fused(text, out);
      }
      if (!decoder_.strips_.empty()) {
        const Strip& strip = decoder_.strips_[0];
        std::size_t n = strip.stop;
        while (n-- > 0 && held_.ends_with(strip.content)) held_.pop_back();
        out += held_;
      }
    }

   private:
    void fused(std::string_view text, std::string& out) {
      if (decoder_.strips_.empty()) {
        out += text;
        return;
      }
      const Strip& strip = decoder_.strips_[0];
      while (to_drop_ > 0 && !text.empty()) {
        if (text[0] == strip.content) {
          text.remove_prefix(1);
          --to_drop_;
        } else {
          to_drop_ = 0;
        }
      }
      held_ += text;
      // Only the run of the stripped character at the end may still be dropped.
      std::size_t keep = held_.size();
      if (strip.stop > 0) {
        while (keep > 0 && held_[keep - 1] == strip.content) --keep;
      }
      out.append(held_, 0, keep);
      held_.erase(0, keep);
    }

    const SequenceDecoder& decoder_;
    std::vector<std::unique_ptr<DecodeStep>> steps_;
    std::size_t to_drop_ = 0;
    std::string held_;
  };

  std::vector<std::unique_ptr<const Decoder>> steps_;
  std::vector<Strip> strips_;
};

std::unique_ptr<const Decoder> make_strip_decoder(const Part& part) {
  const std::string content = part.text_or("content", " ");
  const std::int64_t start = part.number_or("start", 0), stop = part.number_or("stop", 0);
  return std::make_unique<TokenDecoder>([content, start, stop](std::string_view token, bool) {
    for (std::int64_t i = 0; i < start && !content.empty() && token.starts_with(content); ++i) {
      token.remove_prefix(content.size());
    }
    for (std::int64_t i = 0; i < stop && !content.empty() && token.ends_with(content); ++i) {
      token.remove_suffix(content.size());
    }
    return std::string(token);
  });
}

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const Part& part) {
  if (part.is_null()) {
    return std::make_unique<TokenDecoder>([](std::string_view token, bool first) {
      std::string text = first ? "" : " ";
      text.append(token);
      return text;
    });
  }
  const std::string type = part.type();
  if (type == "Sequence") return std::make_unique<SequenceDecoder>(part);
  if (type == "ByteLevel") {
    return std::make_unique<TokenDecoder>([](std::string_view token, bool) {
      std::string bytes;
      if (!append_bytes_of_stand_ins(token, bytes)) bytes = token;
      return bytes;
    });
  }
  if (type == "ByteFallback") {
    return std::make_unique<TokenDecoder>([](std::string_view token, bool) {
      const int byte = byte_token_value(token);
      return byte >= 0 ? std::string(1, static_cast<char>(byte)) : std::string(token);
    });
  }
  if (type == "Fuse")
    return std::make_unique<TokenDecoder>([](std::string_view token, bool) { return std::string(token); });
  if (type == "WordPiece") return make_wordpiece_decoder(part);
  if (type == "Metaspace") return make_metaspace_decoder(part);
  if (type == "Replace") return make_replace_decoder(part);
  if (type == "Strip") return make_strip_decoder(part);
  if (type == "BPEDecoder") return std::make_unique<SuffixDecoder>(part.text_or("suffix", "</w>"));
  if (type == "CTC") return make_ctc_decoder(part);
  part.fail("unknown decoder '" + type + "'");
}

}  // namespace llm::tokenizer::hf
