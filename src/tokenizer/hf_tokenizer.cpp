#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/utf8.h"
#include "formats/quote.h"
#include "tokenizer/bpe.h"
#include "tokenizer/hf_json.h"
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
      : vocabulary_(vocabulary), parts_(std::move(parts)), scratch_(*parts_.model) {}

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
    // As the second token, so that rules for the first do not apply.
    std::string bytes;
    const auto step = parts_.decoder->start();
    step->push("a", bytes);
    bytes.clear();
    step->push(decoded_text(id), bytes);
    step->finish(bytes);
    return bytes;
  }

 private:
  class State : public DecodeState {
   public:
    State(const HuggingFacePipeline& pipeline, bool special)
        : pipeline_(pipeline), special_(special), step_(pipeline.parts_.decoder->start()) {}
    void push(TokenId id, std::string& out) override {
      if (!special_ && pipeline_.parts_.special[static_cast<std::size_t>(id)]) return;
      step_->push(pipeline_.decoded_text(id), out);
    }
    void finish(std::string& out) override { step_->finish(out); }

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
    ModelSink sink(*parts_.model, scratch, out);
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
};

class HuggingFaceTokenizer {
 public:
  HuggingFaceTokenizer(const HuggingFaceFiles& files, const std::string& source)
      : files_(files), source_(source), impl_(std::make_unique<Tokenizer::Impl>()) {}

  Tokenizer make() {
    const Json root = parse(files_.tokenizer, source_);
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
    impl_->finish();
    return Tokenizer(std::move(impl_));
  }

 private:
  static Json parse(std::string_view text, const std::string& source) {
    try {
      return Json::parse(text);
    } catch (const Json::exception& error) {
      throw Error(ErrorCode::model, fmt::format("{}: {}", source, error.what()));
    }
  }

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

  struct Entry {
    TokenId id = kNoToken;
    std::string_view text;
    float score = 0;
  };

  std::vector<Entry> vocabulary_entries(const Part& model, const std::string& type) {
    const Part vocab = model.at("vocab");
    std::vector<Entry> entries;
    entries.reserve(vocab.json().size() + added_.size());
    if (type == "Unigram") {
      if (!vocab.json().is_array()) vocab.fail("expected an array of texts with scores");
      for (const Json& item : vocab.json()) {
        const bool good = item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_number();
        if (!good) vocab.fail(fmt::format("item {}: expected a text and its score", entries.size()));
        entries.push_back(
            {static_cast<TokenId>(entries.size()), item[0].get_ref<const std::string&>(), item[1].get<float>()});
      }
    } else {
      if (!vocab.json().is_object()) vocab.fail("expected an object of texts with ids");
      for (const auto& [text, id] : vocab.json().items()) {
        entries.push_back({checked_id(id, vocab.place() + "." + formats::quote(text)), text, 0});
      }
    }
    for (const Entry& entry : entries) model_size_ = std::max(model_size_, entry.id + 1);
    for (const AddedToken& token : added_) entries.push_back({token.id, token.content, 0});
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.id < b.id; });
    return entries;
  }

  void read_vocabulary(const Part& model, const std::string& type) {
    const std::vector<Entry> entries = vocabulary_entries(model, type);
    if (entries.empty()) model.fail("no tokens");
    if (entries.back().id > static_cast<std::int64_t>(2 * entries.size()) + kMostGaps) {
      model.fail(fmt::format("highest id {} with {} tokens", entries.back().id, entries.size()));
    }
    Vocabulary& vocabulary = impl_->vocabulary;
    std::size_t text_bytes = 0;
    for (const Entry& entry : entries) text_bytes += entry.text.size();
    vocabulary.reserve(static_cast<std::size_t>(entries.back().id) + 1, text_bytes);
    for (const Entry& entry : entries) {
      while (vocabulary.size() < entry.id) {
        vocabulary.add(fmt::format("[EMPTY_{}]", vocabulary.size()), TokenKind::unused);
      }
      if (vocabulary.size() == entry.id) {
        const bool is_byte = byte_token_value(entry.text) >= 0 && model.flag_or("byte_fallback", false);
        vocabulary.add(entry.text, is_byte ? TokenKind::byte : TokenKind::normal, entry.score);
      }
    }
    vocabulary.build_index();
    vocabulary.set_model_size(model_size_);
    parts_.special.assign(static_cast<std::size_t>(vocabulary.size()), false);
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
    options.skip_unknown = options.unknown == kNoToken && !options.byte_fallback;
    options.continuing_prefix = model.text_or("continuing_subword_prefix", "");
    options.end_suffix = model.text_or("end_of_word_suffix", "");
    if (options.unknown != kNoToken) impl_->special.unk = options.unknown;
    const bool takes_bytes = options.continuing_prefix.empty() && options.end_suffix.empty() && !options.byte_fallback;
    parts_.pretokenizer = hf::make_pretokenizer(pretokenizer, takes_bytes);
    options.units = parts_.pretokenizer.leaves_bytes ? Bpe::Units::bytes : Bpe::Units::characters;
    const Part merges = model.at("merges");
    if (!merges.json().is_array()) merges.fail("expected an array");
    std::vector<Bpe::MergeText> texts;
    texts.reserve(merges.json().size());
    for (const Json& item : merges.json()) {
      Bpe::MergeText merge;
      bool good = false;
      if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
        merge = {item[0].get_ref<const std::string&>(), item[1].get_ref<const std::string&>()};
        good = true;
      } else if (item.is_string()) {
        const std::string_view text = item.get_ref<const std::string&>();
        const std::size_t space = text.find(' ');
        good = space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos;
        if (good) merge = {text.substr(0, space), text.substr(space + 1)};
      }
      if (!good) merges.fail(fmt::format("item {}: expected two texts", texts.size()));
      texts.push_back(merge);
    }
    auto bpe = std::make_unique<Bpe>(impl_->vocabulary, std::move(options));
    bpe->reserve_merges(texts.size());
    bpe->add_merges(texts, 0, MergeTable::OnRepeat::take_last);
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
        parts_.normalized_texts[token.id] = normal.text;
      }
    }
  }

  void find_roles() {
    Vocabulary& vocabulary = impl_->vocabulary;
    SpecialTokens& special = impl_->special;
    if (!files_.tokenizer_config.empty()) {
      const Json config = parse(files_.tokenizer_config, source_ + ": tokenizer_config.json");
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
    std::vector<TokenKind> kinds;
    kinds.reserve(static_cast<std::size_t>(vocabulary.size()));
    for (TokenId id = 0; id < vocabulary.size(); ++id) kinds.push_back(vocabulary.kind(id));
    assign_roles_by_text(vocabulary, special);
    for (TokenId id = 0; id < vocabulary.size(); ++id) vocabulary.set_kind(id, kinds[static_cast<std::size_t>(id)]);
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
    const Json config = parse(files_.generation_config, source_ + ": generation_config.json");
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
  std::unique_ptr<Tokenizer::Impl> impl_;
  std::vector<AddedToken> added_;
  TokenId model_size_ = 0;  // ids of the model itself, without tokens added after it
  HuggingFacePipeline::Parts parts_;
};

}  // namespace

Tokenizer make_huggingface_tokenizer(const HuggingFaceFiles& files, const std::string& source) {
  return HuggingFaceTokenizer(files, source).make();
}

}  // namespace llm::tokenizer
