#include "tokenizer/from_gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/utf8.h"
#include "formats/quote.h"
#include "tokenizer/bert_text.h"
#include "tokenizer/bpe.h"
#include "tokenizer/hybrid_dna.h"
#include "tokenizer/join_splitter.h"
#include "tokenizer/piece_pipeline.h"
#include "tokenizer/plamo2.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/rwkv.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/special_roles.h"
#include "tokenizer/text_rules.h"
#include "tokenizer/unicode.h"
#include "tokenizer/wordpiece.h"

namespace llm::tokenizer {

namespace {

using formats::Metadata;
using formats::quote;

constexpr std::string_view kModelKey = "tokenizer.ggml.model";

std::string key(std::string_view name) {
  return fmt::format("tokenizer.ggml.{}", name);
}

bool contains_text(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

class GgufTokenizer {
 public:
  explicit GgufTokenizer(const Metadata& metadata)
      : metadata_(metadata), model_(metadata.require_string(kModelKey)), impl_(std::make_unique<Tokenizer::Impl>()) {}

  Tokenizer make() {
    if (!has_vocabulary(metadata_)) fail(kModelKey, fmt::format("{} means no vocabulary", quote(model_)));
    set_defaults();
    read_tokens();
    read_special_ids();
    rules_ = metadata_.find_string(text_rules_key);
    make_model();
    if (rules_ && pre_ == nullptr) use_rules(false);
    assign_roles_by_text(impl_->vocabulary, impl_->special);
    add_specials();
    impl_->pipeline = std::make_unique<PiecePipeline>(impl_->vocabulary, std::move(options_));
    return Tokenizer(std::move(impl_));
  }

 private:
  [[noreturn]] void fail(std::string_view name, std::string_view what) const {
    throw Error(ErrorCode::model, fmt::format("{}: {}: {}", metadata_.source(), name, what));
  }

  // What holds if the file does not say, by model and pre-tokenizer.
  void set_defaults() {
    SpecialTokens& special = impl_->special;
    if (model_ == "llama") {
      special.bos = 1;
      special.eos = 2;
      special.unk = 0;
      special.add_bos = true;
      add_space_prefix_ = true;
      impl_->description = "SentencePiece BPE";
    } else if (model_ == "gpt2" || model_ == "gemma4" || model_ == "whitespace" || model_ == "hybriddna") {
      if (model_ != "gemma4") special.bos = special.eos = 11;
      find_pre();
    } else if (model_ == "bert") {
      special.bos = special.cls = 101;
      special.sep = 102;
      special.unk = 100;
      special.pad = 0;
      special.mask = 103;
      special.add_bos = special.add_sep = true;
      impl_->description = "WordPiece";
    } else if (model_ == "t5") {
      special.eos = 1;
      special.unk = 2;
      special.pad = 0;
      special.add_eos = true;
      impl_->description = "Unigram";
    } else if (model_ == "rwkv") {
      impl_->description = "RWKV trie";
    } else if (model_ == "plamo2") {
      special.bos = 1;
      special.eos = 2;
      special.unk = 0;
      special.pad = 3;
      impl_->description = "PLaMo-2";
    } else {
      fail(kModelKey, fmt::format("found {}, expected llama, gpt2, gemma4, bert, t5, rwkv, plamo2, whitespace, "
                                  "hybriddna or none",
                                  quote(model_)));
    }
    add_space_prefix_ = metadata_.find_bool(key("add_space_prefix")).value_or(add_space_prefix_);
    remove_extra_whitespaces_ = metadata_.find_bool(key("remove_extra_whitespaces")).value_or(false);
  }

  void find_pre() {
    std::string_view name = metadata_.find_string(key("pre")).value_or("default");
    if (model_ == "gemma4") name = "gemma4";
    if (name.empty()) name = "default";
    pre_ = find_pretokenizer(name);
    if (pre_ == nullptr) fail(key("pre"), fmt::format("unknown pre-tokenizer {}", quote(name)));
    SpecialTokens& special = impl_->special;
    if (pre_->no_default_bos) special.bos.reset();
    special.add_bos = pre_->add_bos;
    special.add_sep = pre_->add_sep;
    impl_->description = fmt::format("BPE ({})", name);
  }

  void read_tokens() {
    const formats::ArrayView* tokens = metadata_.find_string_array(key("tokens"));
    if (tokens == nullptr) fail(key("tokens"), "missing, expected an array of strings");
    const std::size_t n = tokens->count;
    const auto kinds = metadata_.find_ints(key("token_type"));
    const auto scores = metadata_.find_floats(key("scores"));
    if (kinds && kinds->size() < n) fail(key("token_type"), fmt::format("{} items, expected {}", kinds->size(), n));
    if (scores && scores->size() < n) fail(key("scores"), fmt::format("{} items, expected {}", scores->size(), n));
    Vocabulary& vocabulary = impl_->vocabulary;
    vocabulary.reserve(n, tokens->bytes.size());
    std::size_t i = 0;
    for (const std::string_view text : formats::StringItems(*tokens)) {
      const std::int64_t kind = kinds ? (*kinds)[i] : 1;
      const TokenKind token_kind = kind >= 0 && kind <= 6 ? static_cast<TokenKind>(kind) : TokenKind::undefined;
      const float score = scores ? (*scores)[i] : 0;
      if (text.empty()) {
        vocabulary.add(fmt::format("[EMPTY_{}]", i), token_kind, score);
      } else {
        vocabulary.add(text, token_kind, score);
      }
      ++i;
    }
    const TokenId duplicate = vocabulary.build_index();
    if (duplicate != kNoToken) {
      fail(key("tokens"), fmt::format("{} stands for ids {} and {}", quote(vocabulary.text(duplicate)),
                                      vocabulary.find(vocabulary.text(duplicate)), duplicate));
    }
  }

  void read_id(std::optional<TokenId>& id, std::string_view name) const {
    if (id && !impl_->vocabulary.contains(*id)) id.reset();
    const auto found = metadata_.find_uint(key(name));
    if (found && *found < static_cast<std::uint64_t>(impl_->vocabulary.size())) id = static_cast<TokenId>(*found);
  }

  void read_special_ids() {
    SpecialTokens& special = impl_->special;
    read_id(special.bos, "bos_token_id");
    read_id(special.eos, "eos_token_id");
    read_id(special.eot, "eot_token_id");
    read_id(special.eom, "eom_token_id");
    read_id(special.unk, "unknown_token_id");
    read_id(special.sep, "seperator_token_id");
    read_id(special.pad, "padding_token_id");
    read_id(special.mask, "mask_token_id");
    special.cls = special.bos;
    if (model_ != "bert") special.cls.reset();
    read_id(special.cls, "cls_token_id");
    for (const std::string_view name : {"fim_pre_token_id", "prefix_token_id"}) read_id(special.fim_prefix, name);
    for (const std::string_view name : {"fim_suf_token_id", "suffix_token_id"}) read_id(special.fim_suffix, name);
    for (const std::string_view name : {"fim_mid_token_id", "middle_token_id"}) read_id(special.fim_middle, name);
    read_id(special.fim_pad, "fim_pad_token_id");
    read_id(special.fim_repo, "fim_rep_token_id");
    read_id(special.fim_separator, "fim_sep_token_id");
    special.add_bos = metadata_.find_bool(key("add_bos_token")).value_or(special.add_bos);
    special.add_eos = metadata_.find_bool(key("add_eos_token")).value_or(special.add_eos);
    special.add_sep = metadata_.find_bool(key("add_sep_token")).value_or(special.add_sep);
    if (pre_ != nullptr && pre_->force_bos) special.add_bos = true;
    special.add_bos = special.add_bos && special.bos;
    special.add_eos = special.add_eos && special.eos;
    special.add_sep = special.add_sep && special.sep;
  }

  void make_model() {
    if (pre_ != nullptr) {
      make_bpe();
    } else if (model_ == "llama") {
      make_spm();
    } else if (model_ == "rwkv") {
      options_.model = std::make_unique<Rwkv>(impl_->vocabulary, impl_->special.unk.value_or(kNoToken));
      options_.spelling = Spelling::quoted;
    } else if (model_ == "bert") {
      make_wordpiece();
    } else if (model_ == "t5") {
      make_unigram();
    } else {
      options_.model = std::make_unique<Plamo2>(impl_->vocabulary, metadata_.source());
      options_.spelling = Spelling::escaped;
    }
  }

  bool use_rules(bool byte_level) {
    return apply_text_rules(*rules_, metadata_.source(), impl_->vocabulary, byte_level, options_);
  }

  void make_bpe() {
    options_.splitter = make_splitter(pre_->rule);
    const bool takes_bytes = rules_ ? use_rules(pre_->byte_level) : pre_->byte_level;
    Bpe::Options bpe;
    bpe.units = takes_bytes ? Bpe::Units::bytes : Bpe::Units::characters;
    bpe.ignore_merges = pre_->ignore_merges;
    bpe.settle_unknown_first = pre_->byte_level;
    if (pre_->rule == SplitRule::lines) {
      bpe.whole_newlines = bpe.byte_fallback = bpe.plain_bytes = true;
      options_.normalizer = [](std::string_view text, bool) { return escape_spaces(replace_stray_bytes(text), false); };
      options_.spelling = Spelling::escaped;
    }
    auto model = std::make_unique<Bpe>(impl_->vocabulary, std::move(bpe));
    const formats::ArrayView* merges = metadata_.find_string_array(key("merges"));
    if (merges == nullptr && pre_->rule != SplitRule::kimi_k2)
      fail(key("merges"), "missing, expected an array of strings");
    if (merges != nullptr) {
      add_merges(*merges, *model);
    }
    if (!rules_ && pre_->byte_level && !model->covers_all_bytes()) {
      options_.normalizer = [](std::string_view text, bool) { return replace_stray_bytes(text); };
    }
    options_.model = std::move(model);
    if (model_ == "hybriddna") {
      options_.model =
          make_hybrid_dna(impl_->vocabulary, std::move(options_.model), std::exchange(options_.splitter, {}));
      options_.drop_at_end = kKmerMark;
    }
    if (model_ == "whitespace") {
      options_.splitter = make_splitter(SplitRule::white_space);
      if (metadata_.find_bool(key("normalizer.lowercase")).value_or(false)) {
        options_.normalizer = [](std::string_view text, bool) { return to_lower(text); };
      }
    }
    add_ends();
  }

  // Around a text, and what stands between two.
  void add_ends() {
    const SpecialTokens& special = impl_->special;
    if (special.add_bos) options_.before.push_back(*special.bos);
    if (special.add_eos) options_.after.push_back(*special.eos);
    options_.between = options_.after;
    if (special.add_sep) options_.between.push_back(*special.sep);
  }

  // "left right", cut at the first space after the first character.
  void add_merges(const formats::ArrayView& merges, Bpe& model) const {
    constexpr std::size_t kBatch = 1024;
    std::vector<Bpe::MergeText> texts;
    texts.reserve(kBatch);
    std::uint32_t n_added = 0;
    const auto flush = [&] {
      model.add_merges(texts, n_added, MergeTable::OnRepeat::keep_first);
      n_added += static_cast<std::uint32_t>(texts.size());
      texts.clear();
    };
    model.reserve_merges(merges.count);
    for (const std::string_view text : formats::StringItems(merges)) {
      const std::size_t space = text.find(' ', 1);
      if (space == std::string_view::npos) {
        fail(key("merges"), fmt::format("item {} is {}, expected two texts", n_added + texts.size(), quote(text)));
      }
      texts.push_back({text.substr(0, space), text.substr(space + 1)});
      if (texts.size() == kBatch) flush();
    }
    flush();
  }

  void make_spm() {
    Bpe::Options bpe;
    bpe.units = Bpe::Units::characters;
    bpe.byte_fallback = bpe.plain_bytes = true;
    bpe.unknown = impl_->special.unk.value_or(kNoToken);
    auto model = std::make_unique<Bpe>(impl_->vocabulary, std::move(bpe));
    model->add_merges_from_scores();
    options_.model = std::move(model);
    options_.splitter.add(std::make_unique<JoinSplitter>(impl_->vocabulary));
    options_.normalizer = [prefix = add_space_prefix_](std::string_view text, bool starts) {
      return escape_spaces(text, prefix && starts);
    };
    options_.spelling = Spelling::escaped;
    options_.drop_first_space = add_space_prefix_;
    options_.fuse = impl_->special.unk.value_or(kNoToken);
    add_ends();
  }

  void make_wordpiece() {
    WordPiece::Options wordpiece;
    wordpiece.unknown = impl_->special.unk.value_or(kNoToken);
    wordpiece.first_prefix = "▁";
    wordpiece.continuing_prefix = "";
    options_.model = std::make_unique<WordPiece>(impl_->vocabulary, std::move(wordpiece));
    BertNormalization normalization;
    normalization.lowercase = metadata_.find_bool(key("normalizer.lowercase")).value_or(true);
    normalization.strip_accents =
        metadata_.find_bool(key("normalizer.strip_accents")).value_or(normalization.lowercase);
    options_.normalizer = [normalization](std::string_view text, bool) { return bert_normalize(text, normalization); };
    options_.splitter.add(make_bert_splitter());
    options_.spelling = Spelling::escaped;
    const SpecialTokens& special = impl_->special;
    if (special.cls) options_.before.push_back(*special.cls);
    if (special.sep) options_.after.push_back(*special.sep);
    options_.between = options_.after;
  }

  void make_unigram() {
    const Vocabulary& vocabulary = impl_->vocabulary;
    SentencePieceNormalizer::Options normalization;
    normalization.add_dummy_prefix = add_space_prefix_;
    normalization.remove_extra_whitespaces = remove_extra_whitespaces_;
    if (const formats::ArrayView* map = metadata_.find_array(key("precompiled_charsmap"))) {
      if (map->item_type != formats::ValueType::i8 && map->item_type != formats::ValueType::u8) {
        fail(key("precompiled_charsmap"),
             fmt::format("array of {}, expected i8 or u8", formats::value_type_name(map->item_type)));
      }
      normalization.map = CharacterMap({reinterpret_cast<const char*>(map->bytes.data()), map->bytes.size()},
                                       fmt::format("{}: {}", metadata_.source(), key("precompiled_charsmap")));
    }
    bool byte_tokens = false;
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      byte_tokens |= vocabulary.kind(id) == TokenKind::byte;
      if (vocabulary.kind(id) == TokenKind::user_defined) normalization.user_defined.add(vocabulary.text(id), id, true);
    }
    options_.normalizer = [normalizer = std::make_shared<SentencePieceNormalizer>(std::move(normalization))](
                              std::string_view text, bool) { return normalizer->normalize(text); };
    options_.model = make_sentencepiece_model(vocabulary, SentencePieceKind::unigram,
                                              impl_->special.unk.value_or(kNoToken), byte_tokens);
    options_.spelling = Spelling::escaped;
    options_.drop_first_space = add_space_prefix_;
    add_ends();
  }

  void add_specials() {
    const Vocabulary& vocabulary = impl_->vocabulary;
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      const TokenKind kind = vocabulary.kind(id);
      if (kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::user_defined) continue;
      // Unigram finds user-defined pieces by itself unless control tokens are looked for.
      options_.specials.add(vocabulary.text(id), id, kind == TokenKind::user_defined && (model_ != "t5" || rules_));
    }
    if (!rules_) set_trimming();
  }

  // White space around special tokens that only the names of model and pre-tokenizer tell of.
  void set_trimming() {
    const Vocabulary& vocabulary = impl_->vocabulary;
    std::string name(metadata_.find_string("general.name").value_or(""));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const std::string_view architecture = metadata_.find_string("general.architecture").value_or("");
    const std::string_view pre = metadata_.find_string(key("pre")).value_or("");
    const auto n = static_cast<std::size_t>(vocabulary.size());
    const auto strip_before = [&](std::string_view text) {
      const TokenId id = vocabulary.find(text);
      if (id == kNoToken) return;
      options_.strip_before.assign(n, false);
      options_.strip_before[static_cast<std::size_t>(id)] = true;
    };
    if (contains_text(pre, "jina-v2-de") || contains_text(pre, "jina-v2-es") || contains_text(pre, "jina-v2-code") ||
        contains_text(architecture, "nomic-bert-moe") || contains_text(architecture, "jina-bert-v3")) {
      strip_before("<mask>");
    } else if (contains_text(name, "phi-3") || contains_text(name, "phi3")) {
      options_.strip_after.assign(n, true);
      for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"}) {
        const TokenId id = vocabulary.find(text);
        if (id != kNoToken) options_.strip_after[static_cast<std::size_t>(id)] = false;
      }
    } else if (contains_text(name, "modern-bert")) {
      strip_before("[MASK]");
    }
  }

  const Metadata& metadata_;
  std::string_view model_;
  std::unique_ptr<Tokenizer::Impl> impl_;
  PiecePipeline::Options options_;
  const PreTokenizer* pre_ = nullptr;
  std::optional<std::string_view> rules_;  // of a tokenizer.json (text_rules.h)
  bool add_space_prefix_ = false;
  bool remove_extra_whitespaces_ = false;
};

}  // namespace

bool has_vocabulary(const Metadata& metadata) {
  const auto model = metadata.find_string(kModelKey);
  return model && *model != "none" && *model != "no_vocab";
}

Tokenizer make_tokenizer(const Metadata& metadata) {
  return GgufTokenizer(metadata).make();
}

}  // namespace llm::tokenizer
