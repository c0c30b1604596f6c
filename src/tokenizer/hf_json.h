#ifndef TOKENIZER_HF_JSON_H
#define TOKENIZER_HF_JSON_H

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pipeline.h"
#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

// The parts of a Hugging Face tokenizer.json. What each part does follows the `tokenizers` library; a part of a kind
// that is not known is refused by its name.
namespace llm::tokenizer::hf {

using Json = nlohmann::json;

// A JSON value with its place for messages: "tokenizer.json: pre_tokenizer.pretokenizers[1]".
class Part {
 public:
  Part(const Json& json, std::string place) : json_(&json), place_(std::move(place)) {}

  const Json& json() const { return *json_; }
  const std::string& place() const { return place_; }
  bool is_null() const { return json_->is_null(); }
  // A member that may be absent or null.
  bool has(const char* name) const;
  Part at(const char* name) const;
  std::vector<Part> items(const char* name) const;  // of an array that must be there; Error(model) deeper than 16
  std::string type() const { return text("type"); }
  std::string text(const char* name) const;
  std::string text_or(const char* name, std::string fallback) const;
  bool flag_or(const char* name, bool fallback) const;
  std::int64_t number_or(const char* name, std::int64_t fallback) const;
  [[noreturn]] void fail(std::string_view what) const;

 private:
  const Json* json_;
  std::string place_;
};

// A text on its way through the normalisers.
struct NormalText {
  std::string text;
  bool at_start = true;  // its first character is the input's first
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalText& text) const = 0;
};
// Null for a null part.
std::unique_ptr<const Normalizer> make_normalizer(const Part& part);

struct PreTokenizer {
  SplitterChain splitter;
  bool leaves_bytes = false;  // the last step would write bytes as stand-ins: left to the model
};
// `model_takes_bytes`: the last step may be left out if it is the stand-ins of a ByteLevel.
PreTokenizer make_pretokenizer(const Part& part, bool model_takes_bytes);

class TokenSink {
 public:
  virtual ~TokenSink() = default;
  virtual void token(std::string_view text) = 0;
};

// One step of decoding: gets the texts of tokens and hands texts on.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  virtual void push(std::string_view token, TokenSink& out) = 0;
  virtual void finish(TokenSink&) {}
};
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::unique_ptr<DecodeStep> start() const = 0;
};
std::unique_ptr<const Decoder> make_decoder(const Part& part);

struct AddedToken {
  std::string content;
  TokenId id = kNoToken;
  bool lstrip = false, rstrip = false, single_word = false, normalized = true, special = false;
};

// Added tokens found in a text with their rules for white space and words around them.
class AddedTokenMatcher {
 public:
  void add(const AddedToken& token, std::string_view content);
  bool empty() const { return matcher_.empty(); }
  struct Split {
    std::size_t begin = 0, end = 0;
    TokenId id = kNoToken;  // kNoToken: text
  };
  // Special tokens count only inside the `parse` ranges.
  std::vector<Split> split(std::string_view text, std::span<const TextRange> parse) const;

 private:
  SpecialMatcher matcher_;
  std::vector<AddedToken> tokens_;  // matcher_ finds indices of these
};

// What stands around one or two texts: ids, or a text by its number.
struct TemplateItem {
  TokenId id = kNoToken;
  int sequence = -1;
};
struct Template {
  std::vector<TemplateItem> single = {{kNoToken, 0}};
  std::vector<TemplateItem> pair = {{kNoToken, 0}, {kNoToken, 1}};
};
Template make_template(const Part& part);

}  // namespace llm::tokenizer::hf

#endif
