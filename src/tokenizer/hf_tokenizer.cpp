#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/utf8.h"
#include "formats/quote.h"
#include "tokenizer/bpe.h"
#include "tokenizer/hf_file.h"
#include "tokenizer/model_sink.h"
#include "tokenizer/special_roles.h"
#include "tokenizer/unigram.h"
#include "tokenizer/vocabulary_files.h"
#include "tokenizer/wordpiece.h"

namespace llm::tokenizer {

namespace {

using hf::AddedToken;
using hf::AddedTokenMatcher;
using hf::Json;
using hf::Part;
using hf::VocabularyItem;

// Ids may have gaps; a bound on them keeps a wild id from filling memory.
constexpr std::int64_t kMostGaps = 65'536;

// Text -> added tokens as they stand -> normaliser -> added tokens in normalised text -> pieces -> model -> template.
class HuggingFacePipeline : public Pipeline {
 public:
  struct Parts {
    std::unique_ptr<const hf::Normalizer> normalizer;
    hf::PreTokenizer pretokenizer;
    std::unique_ptr<const Model> model;
    std::unique_ptr<const hf::Decoder> decoder;
    hf::Template post;
    AddedTokenMatcher raw, normalized;
    std::vector<bool> special;                                  // [n_vocab]
    std::unordered_map<TokenId, std::string> normalized_texts;  // of added tokens: what decoding shows
  };

  HuggingFacePipeline(const Vocabulary& vocabulary, Parts parts)
      : vocabulary_(vocabulary),
        parts_(std::move(parts)),
        scratch_(*parts_.model),
        around_{decode_texts({kFrames[0].before, kFrames[0].after}),
                decode_texts({kFrames[1].before, kFrames[1].after})} {}

  void encode(const InputText& input, bool add_special, std::vector<TokenId>& out) const override {
    if (!add_special) return encode_text(input, out);
    for (const hf::TemplateItem& item : parts_.post.single) add_item(item, input, input, out);
  }
  void encode_pair(const InputText& first, const InputText& second, bool add_special,
                   std::vector<TokenId>& out) const override {
    if (!add_special) {
      encode_text(first, out);
      encode_text(second, out);
      return;
    }
    for (const hf::TemplateItem& item : parts_.post.pair) add_item(item, first, second, out);
  }

  std::unique_ptr<DecodeState> start_decoding(bool special) const override {
    return std::make_unique<State>(*this, special);
  }

  std::string token_bytes(TokenId id) const override {
    // Between two others, so that rules for the first and the last do not apply; what those two give is taken off.
    const std::string_view text = decoded_text(id);
    const std::size_t i = text == kFrames[0].before || text == kFrames[0].after ? 1 : 0;
    const Frame& frame = kFrames[i];
    const std::string& around = around_[i];
    const std::string all = decode_texts({frame.before, text, frame.after});
    std::string_view bytes = all;
    if (!around.starts_with(frame.before) || !bytes.starts_with(frame.before)) return std::string(text);
    const std::string_view end = std::string_view(around).substr(frame.before.size());
    bytes.remove_prefix(frame.before.size());
    if (!bytes.ends_with(end)) return std::string(text);
    bytes.remove_suffix(end.size());
    return std::string(bytes);
  }

 private:
  struct Frame {
    std::string_view before, after;
  };
  static constexpr Frame kFrames[] = {{"a", "b"}, {"c", "d"}};

  // Appends what comes out of the last step of a decoder.
  class TextSink : public hf::TokenSink {
   public:
    explicit TextSink(std::string& text) : text_(text) {}
    void token(std::string_view text) override { text_ += text; }

   private:
    std::string& text_;
  };

  std::string decode_texts(std::initializer_list<std::string_view> texts) const {
    std::string all;
    TextSink out(all);
    const auto step = parts_.decoder->start();
    for (const std::string_view text : texts) step->push(text, out);
    step->finish(out);
    return all;
  }

  class State : public DecodeState {
   public:
    State(const HuggingFacePipeline& pipeline, bool special)
        : pipeline_(pipeline), special_(special), step_(pipeline.parts_.decoder->start()) {}
    void push(TokenId id, std::string& out) override {
      if (!special_ && pipeline_.parts_.special[static_cast<std::size_t>(id)]) return;
      TextSink sink(out);
      step_->push(pipeline_.decoded_text(id), sink);
    }
    void finish(std::string& out) override {
      TextSink sink(out);
      step_->finish(sink);
    }

   private:
    const HuggingFacePipeline& pipeline_;
    bool special_;
    std::unique_ptr<hf::DecodeStep> step_;
  };

  std::string_view decoded_text(TokenId id) const {
    const auto found = parts_.normalized_texts.find(id);
    return found == parts_.normalized_texts.end() ? vocabulary_.text(id) : std::string_view(found->second);
  }

  void add_item(const hf::TemplateItem& item, const InputText& first, const InputText& second,
                std::vector<TokenId>& out) const {
    if (item.sequence >= 0) {
      encode_text(item.sequence == 0 ? first : second, out);
    } else {
      out.push_back(item.id);
    }
  }

  void encode_text(const InputText& input, std::vector<TokenId>& out) const {
    if (is_valid_utf8(input.text)) return encode_valid(input, out);
    // The library takes valid text only. Wrong bytes become U+FFFD; where control tokens count moves along.
    std::string text;
    std::vector<TextRange> parse(input.parse.begin(), input.parse.end());
    std::size_t done = 0;
    for (TextRange& range : parse) {
      text += replace_invalid_utf8(input.text.substr(done, range.begin - done));
      done = range.end;
      const std::size_t begin = text.size();
      text += replace_invalid_utf8(input.text.substr(range.begin, range.end - range.begin));
      range = {begin, text.size()};
    }
    text += replace_invalid_utf8(input.text.substr(done));
    encode_valid({text, parse}, out);
  }

  void encode_valid(const InputText& input, std::vector<TokenId>& out) const {
    out.reserve(out.size() + input.text.size() / 4 + 2);
    const auto lease = scratch_.take();
    for (const AddedTokenMatcher::Split& split : parts_.raw.split(input.text, input.parse)) {
      if (split.id != kNoToken) {
        out.push_back(split.id);
        continue;
      }
      const bool parse = std::any_of(input.parse.begin(), input.parse.end(),
                                     [&](const TextRange& r) { return r.begin <= split.begin && split.end <= r.end; });
      encode_part(input.text.substr(split.begin, split.end - split.begin), split.begin == 0, parse, *lease, out);
    }
  }

  void encode_part(std::string_view text, bool at_start, bool parse, Scratch& scratch,
                   std::vector<TokenId>& out) const {
    hf::NormalText normal;
    normal.at_start = at_start;
    if (parts_.normalizer != nullptr) {
      normal.text = text;
      parts_.normalizer->apply(normal);
      text = normal.text;
    }
    ModelSink sink(*parts_.model, scratch, out, text.size());
    if (parts_.normalized.empty()) {
      encode_plain(text, normal.at_start, sink);
      return;
    }
    const TextRange whole{0, text.size()};
    for (const AddedTokenMatcher::Split& split :
         parts_.normalized.split(text, parse ? std::span(&whole, 1) : std::span<const TextRange>())) {
      if (split.id != kNoToken) {
        out.push_back(split.id);
      } else {
        encode_plain(text.substr(split.begin, split.end - split.begin), normal.at_start && split.begin == 0, sink);
      }
    }
  }

  void encode_plain(std::string_view text, bool at_start, PieceSink& sink) const {
    if (text.empty()) return;
    if (at_start) {
      parts_.pretokenizer.splitter.split_first(text, sink);
    } else {
      parts_.pretokenizer.splitter.split(text, sink);
    }
  }

  const Vocabulary& vocabulary_;
  Parts parts_;
  mutable ScratchPool scratch_;
  std::array<std::string, 2> around_;  // what the frames give by themselves
};

class HuggingFaceTokenizer {
 public:
  HuggingFaceTokenizer(const HuggingFaceFiles& files, const std::string& source)
      : files_(files), source_(source), file_(files.tokenizer, source), impl_(std::make_unique<Tokenizer::Impl>()) {}

  Tokenizer make() {
    const Json& root = file_.root();
    const Part file(root, source_);
    if (!root.is_object()) file.fail("expected a JSON object");
    const Part model = file.at("model");
    const std::string type = model_type(model);
    read_added_tokens(file);
    read_vocabulary(model, type);
    parts_.normalizer = hf::make_normalizer(member(root, "normalizer"));
    make_model(model, type, member(root, "pre_tokenizer"));
    parts_.decoder = hf::make_decoder(member(root, "decoder"));
    parts_.post = hf::make_template(member(root, "post_processor"));
    check_template(file);
    add_added_tokens();
    find_roles();
    impl_->description = fmt::format("{} (tokenizer.json)", type);
    impl_->pipeline = std::make_unique<HuggingFacePipeline>(impl_->vocabulary, std::move(parts_));
    return Tokenizer(std::move(impl_));
  }

 private:
  Part member(const Json& root, const char* name) const {
    static const Json null;
    const auto found = root.find(name);
    return {found == root.end() ? null : *found, fmt::format("{}: {}", source_, name)};
  }

  // Old files do not name the kind.
  static std::string model_type(const Part& model) {
    if (model.has("type")) return model.type();
    if (model.has("merges")) return "BPE";
    if (model.has("unk_id")) return "Unigram";
    return model.has("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
  }

  TokenId checked_id(const Json& json, const std::string& place) const {
    const auto id = json.is_number_integer() ? json.get<std::int64_t>() : std::int64_t{-1};
    if (id < 0 || id >= std::numeric_limits<TokenId>::max()) {
      throw Error(ErrorCode::model, fmt::format("{}: expected a token id", place));
    }
    return static_cast<TokenId>(id);
  }

  void read_added_tokens(const Part& file) {
    if (!file.has("added_tokens")) return;
    for (const Part& item : file.items("added_tokens")) {
      AddedToken token;
      token.content = item.text("content");
      token.id = checked_id(item.at("id").json(), item.place() + ".id");
      token.lstrip = item.flag_or("lstrip", false);
      token.rstrip = item.flag_or("rstrip", false);
      token.single_word = item.flag_or("single_word", false);
      token.special = item.flag_or("special", false);
      token.normalized = item.flag_or("normalized", !token.special);
      added_.push_back(std::move(token));
    }
  }

  std::vector<VocabularyItem> vocabulary_items(const Part& model, const std::string& type) {
    const Part vocab = model.at("vocab");
    if (type == "Unigram") {
      if (!vocab.json().is_array()) vocab.fail("expected an array of texts with scores");
      for (const VocabularyItem& item : file_.vocabulary()) scores_.push_back(item.score);
    } else if (!vocab.json().is_object()) {
      vocab.fail("expected an object of texts with ids");
    }
    std::vector<VocabularyItem> items = file_.vocabulary();
    for (const VocabularyItem& item : items) model_size_ = std::max(model_size_, item.id + 1);
    for (const AddedToken& token : added_) items.push_back({token.id, token.content, 0});
    const auto by_id = [](const VocabularyItem& a, const VocabularyItem& b) { return a.id < b.id; };
    if (!std::is_sorted(items.begin(), items.end(), by_id)) std::stable_sort(items.begin(), items.end(), by_id);
    return items;
  }

  void read_vocabulary(const Part& model, const std::string& type) {
    if (add_tokens(model, vocabulary_items(model, type)) != kNoToken && type != "Unigram" &&
        file_.drop_repeated_texts()) {
      model_size_ = 0;
      impl_->vocabulary = Vocabulary();
      add_tokens(model, vocabulary_items(model, type));
    }
    impl_->vocabulary.set_model_size(model_size_);
    parts_.special.assign(static_cast<std::size_t>(impl_->vocabulary.size()), false);
  }

  // Returns the second of two equal tokens, or kNoToken.
  TokenId add_tokens(const Part& model, const std::vector<VocabularyItem>& items) {
    if (items.empty()) model.fail("no tokens");
    if (items.back().id > static_cast<std::int64_t>(2 * items.size()) + kMostGaps) {
      model.fail(fmt::format("highest id {} with {} tokens", items.back().id, items.size()));
    }
    Vocabulary& vocabulary = impl_->vocabulary;
    std::size_t text_bytes = 0;
    for (const VocabularyItem& item : items) text_bytes += item.text.size();
    vocabulary.reserve(static_cast<std::size_t>(items.back().id) + 1, text_bytes);
    const bool byte_fallback = model.flag_or("byte_fallback", false);
    for (const VocabularyItem& item : items) {
      while (vocabulary.size() < item.id) {
        vocabulary.add(fmt::format("[EMPTY_{}]", vocabulary.size()), TokenKind::unused);
      }
      if (vocabulary.size() == item.id) {
        const bool is_byte = byte_fallback && byte_token_value(item.text) >= 0;
        vocabulary.add(item.text, is_byte ? TokenKind::byte : TokenKind::normal, static_cast<float>(item.score));
      }
    }
    return vocabulary.build_index();
  }

  TokenId unknown_token(const Part& model) const {
    const std::string text = model.text_or("unk_token", "");
    return text.empty() ? kNoToken : impl_->vocabulary.find(text);
  }

  void make_model(const Part& model, const std::string& type, const Part& pretokenizer) {
    const Vocabulary& vocabulary = impl_->vocabulary;
    if (type == "BPE") {
      make_bpe(model, pretokenizer);
      return;
    }
    parts_.pretokenizer = hf::make_pretokenizer(pretokenizer, false);
    if (type == "Unigram") {
      const std::int64_t unknown = model.number_or("unk_id", kNoToken);
      if (unknown >= vocabulary.size()) model.fail(fmt::format("unk_id {}", unknown));
      impl_->special.unk = unknown < 0 ? std::nullopt : std::optional(static_cast<TokenId>(unknown));
      parts_.model =
          std::make_unique<Unigram>(vocabulary, Unigram::Options{.unknown = impl_->special.unk.value_or(kNoToken),
                                                                 .byte_fallback = model.flag_or("byte_fallback", false),
                                                                 .scores = std::move(scores_),
                                                                 .all_tokens = true});
      return;
    }
    const TokenId unknown = unknown_token(model);
    if (unknown != kNoToken) impl_->special.unk = unknown;
    if (type == "WordPiece") {
      const std::int64_t most = model.number_or("max_input_chars_per_word", 100);
      if (most < 0) model.fail(fmt::format("max_input_chars_per_word {}", most));
      parts_.model = std::make_unique<WordPiece>(
          vocabulary, WordPiece::Options{.unknown = unknown,
                                         .first_prefix = "",
                                         .continuing_prefix = model.text_or("continuing_subword_prefix", "##"),
                                         .max_characters = static_cast<std::size_t>(most)});
    } else if (type == "WordLevel") {
      parts_.model = std::make_unique<WordLevel>(vocabulary, unknown);
    } else {
      model.fail("unknown model '" + type + "'");
    }
  }

  void make_bpe(const Part& model, const Part& pretokenizer) {
    Bpe::Options options;
    options.ignore_merges = model.flag_or("ignore_merges", false);
    options.byte_fallback = model.flag_or("byte_fallback", false);
    options.fuse_unknown = model.flag_or("fuse_unk", false);
    options.unknown = unknown_token(model);
    options.settle_unknown_first = true;
    options.continuing_prefix = model.text_or("continuing_subword_prefix", "");
    options.end_suffix = model.text_or("end_of_word_suffix", "");
    if (options.unknown != kNoToken) impl_->special.unk = options.unknown;
    const bool takes_bytes = options.continuing_prefix.empty() && options.end_suffix.empty() && !options.byte_fallback;
    parts_.pretokenizer = hf::make_pretokenizer(pretokenizer, takes_bytes);
    options.units = parts_.pretokenizer.leaves_bytes ? Bpe::Units::bytes : Bpe::Units::characters;
    const Part merges = model.at("merges");
    if (!merges.json().is_array()) merges.fail("expected an array");
    auto bpe = std::make_unique<Bpe>(impl_->vocabulary, std::move(options));
    bpe->reserve_merges(file_.merges().size());
    bpe->add_merges(file_.merges(), 0, MergeTable::OnRepeat::take_last);
    if (const auto text = bpe->text_that_is_no_token()) {
      merges.fail(fmt::format("{} is no token of the vocabulary", formats::quote(*text)));
    }
    parts_.model = std::move(bpe);
  }

  void check_template(const Part& file) const {
    for (const auto* items : {&parts_.post.single, &parts_.post.pair}) {
      for (const hf::TemplateItem& item : *items) {
        if (item.sequence < 0 && !impl_->vocabulary.contains(item.id)) {
          file.at("post_processor").fail(fmt::format("token id {} is not in the vocabulary", item.id));
        }
      }
    }
  }

  // Special ones first: of two added tokens with one text the first is found.
  void add_added_tokens() {
    Vocabulary& vocabulary = impl_->vocabulary;
    for (const bool special : {true, false}) {
      for (const AddedToken& token : added_) {
        if (token.special != special || token.content.empty()) continue;
        parts_.special[static_cast<std::size_t>(token.id)] = special;
        vocabulary.set_kind(token.id, special ? TokenKind::control : TokenKind::user_defined);
        if (!token.normalized || parts_.normalizer == nullptr) {
          (token.normalized ? parts_.normalized : parts_.raw).add(token, token.content);
          continue;
        }
        hf::NormalText normal{token.content};
        parts_.normalizer->apply(normal);
        parts_.normalized.add(token, normal.text);
        // The library hides a token by its text, which it knows in the normalised form.
        if (normal.text != token.content) parts_.special[static_cast<std::size_t>(token.id)] = false;
        parts_.normalized_texts[token.id] = normal.text;
      }
    }
  }

  void find_roles() {
    Vocabulary& vocabulary = impl_->vocabulary;
    SpecialTokens& special = impl_->special;
    if (!files_.tokenizer_config.empty()) {
      const Json config = hf::parse_json(files_.tokenizer_config, source_ + ": tokenizer_config.json");
      const auto role = [&](const char* name) -> std::optional<TokenId> {
        const auto found = config.is_object() ? config.find(name) : config.end();
        if (!config.is_object() || found == config.end()) return std::nullopt;
        const Json* text = &*found;
        if (text->is_object() && text->contains("content")) text = &(*text)["content"];
        if (!text->is_string()) return std::nullopt;
        const TokenId id = vocabulary.find(text->get_ref<const std::string&>());
        return id == kNoToken ? std::nullopt : std::optional(id);
      };
      special.bos = role("bos_token");
      special.eos = role("eos_token");
      special.sep = role("sep_token");
      special.pad = role("pad_token");
      special.mask = role("mask_token");
      special.cls = role("cls_token");
      if (const auto unk = role("unk_token")) special.unk = unk;
    }
    // What the file types as ordinary stays so; only roles and ends are taken over.
    assign_roles_keeping_kinds(vocabulary, special);
    add_generation_ends();
    const auto adds = [this](std::optional<TokenId> id) {
      return id && std::any_of(parts_.post.single.begin(), parts_.post.single.end(),
                               [&](const hf::TemplateItem& item) { return item.id == *id; });
    };
    special.add_bos = adds(special.bos) || adds(special.cls);
    special.add_eos = adds(special.eos);
    special.add_sep = adds(special.sep);
  }

  // eos_token_id of generation_config.json: a number or a list.
  void add_generation_ends() {
    if (files_.generation_config.empty()) return;
    const Json config = hf::parse_json(files_.generation_config, source_ + ": generation_config.json");
    const auto found = config.is_object() ? config.find("eos_token_id") : config.end();
    if (!config.is_object() || found == config.end()) return;
    std::vector<TokenId>& ends = impl_->special.end_of_generation;
    const auto add = [&](const Json& id) {
      if (id.is_number_integer() && id.get<std::int64_t>() >= 0 && id.get<std::int64_t>() < impl_->vocabulary.size()) {
        ends.push_back(id.get<TokenId>());
      }
    };
    if (found->is_array()) {
      for (const Json& id : *found) add(id);
    } else {
      add(*found);
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  }

  HuggingFaceFiles files_;
  std::string source_;
  hf::TokenizerFile file_;
  std::unique_ptr<Tokenizer::Impl> impl_;
  std::vector<AddedToken> added_;
  std::vector<double> scores_;  // of a Unigram model
  TokenId model_size_ = 0;      // ids of the model itself, without tokens added after it
  HuggingFacePipeline::Parts parts_;
};

}  // namespace

Tokenizer make_huggingface_tokenizer(const HuggingFaceFiles& files, const std::string& source) {
  return HuggingFaceTokenizer(files, source).make();
}

}  // namespace llm::tokenizer
