#include "tokenizer/to_gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "base/mapped_file.h"
#include "formats/quote.h"
#include "tokenizer/base64.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/recognize_pretokenizer.h"
#include "tokenizer/text_rules.h"
#include "tokenizer/vocabulary_lists.h"
#include "tokenizer/vocabulary_trial.h"

namespace llm::tokenizer {
namespace {

using formats::GgufHeader;
using JsonNode = nlohmann::json;

// Where rank r stands for token t: a merge that came earlier is a higher score.
std::unordered_map<std::string, float> scores_of_merges(const JsonNode& merges) {
  std::unordered_map<std::string, float> scores;
  float rank = 0;
  for (const JsonNode& merge : merges) {
    std::string joined;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      joined = merge[0].get<std::string>() + merge[1].get<std::string>();
    } else if (merge.is_string()) {
      joined = merge.get<std::string>();
      joined.erase(std::min(joined.find(' '), joined.size()), 1);
    }
    scores.try_emplace(joined, -rank);
    ++rank;
  }
  return scores;
}

class VocabularyWriter {
 public:
  VocabularyWriter(const Tokenizer& tokenizer, const std::string& folder, std::int64_t n_vocab, const std::string& pre,
                   GgufHeader& header)
      : tokenizer_(tokenizer), folder_(folder), n_vocab_(n_vocab), pre_(pre), header_(header) {}

  std::string write() {
    if (tokenizer_.n_vocab() > n_vocab_ && tokenizer_.token_kind(static_cast<TokenId>(n_vocab_)) != TokenKind::unused) {
      fail(fmt::format("{} tokens, expected at most {} (rows of the embedding)", tokenizer_.n_vocab(), n_vocab_));
    }
    read_files();
    const std::string type = model_.is_object() ? model_.value("type", guessed_type()) : "";
    add_roles();
    if (type == "BPE") refuse_other_bpe();
    if (type == "BPE" && !model_.value("byte_fallback", false)) return write_byte_bpe();
    if (type == "BPE") return write_sentencepiece_bpe();
    if (type == "WordPiece") return write_wordpiece();
    if (type == "Unigram") return write_unigram();
    if (type.empty() && !unigram_file_) return write_sentencepiece_bpe();
    if (type.empty()) return write_unigram();
    fail(fmt::format("a tokenizer of type {}, which GGUF files cannot hold", formats::quote(type)));
  }

 private:
  using Setting = std::function<void()>;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::model, fmt::format("{}: {}", folder_, what));
  }

  static std::string key(std::string_view name) { return fmt::format("tokenizer.ggml.{}", name); }

  // tokenizer.json, else a SentencePiece model or llama2.c's list.
  void read_files() {
    const std::filesystem::path folder(folder_);
    std::error_code error;
    if (std::filesystem::is_regular_file(folder / "tokenizer.json", error)) {
      const MappedFile file((folder / "tokenizer.json").string());
      json_ = JsonNode::parse(file.bytes().begin(), file.bytes().end(), nullptr, false);
      model_ = json_.is_object() ? json_.value("model", JsonNode()) : JsonNode();
      if (!model_.is_object()) fail("tokenizer.json: no model");
      return;
    }
    unigram_file_ = tokenizer_.description().find("unigram") != std::string::npos;
    std::filesystem::path sentencepiece;
    for (const char* name : {"sentencepiece.bpe.model", "spiece.model", "tokenizer.model"}) {
      if (std::filesystem::is_regular_file(folder / name, error)) sentencepiece = folder / name;
    }
    if (sentencepiece.empty()) {
      if (const auto texts = tokenizer_of_lists(folder_)) {
        json_ = JsonNode::parse(texts->tokenizer_json);
        model_ = json_["model"];
        return;
      }
    }
    if (!unigram_file_ || sentencepiece.empty()) {
      if (tokenizer_.description().find("tiktoken") != std::string::npos) {
        fail("a tiktoken vocabulary without tokenizer.json, which GGUF files cannot hold");
      }
      return;
    }
    const MappedFile file(sentencepiece.string());
    ProtobufReader reader({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, file.path());
    while (const auto field = reader.next()) {
      if (field->number != 3 || field->wire_type != 2) continue;
      ProtobufReader normalizer(field->bytes, file.path());
      while (const auto inner = normalizer.next()) {
        if (inner->number == 2 && inner->wire_type == 2) characters_ = std::string(inner->bytes);
      }
    }
  }

  // Older files name no type.
  std::string guessed_type() const {
    if (model_.contains("merges")) return "BPE";
    return model_.contains("vocab") && model_["vocab"].is_array() ? "Unigram" : "WordPiece";
  }

  // Texts, kinds and scores of all tokens; `spell` gives a token as GGUF files of the kind write it.
  void set_tokens(const std::function<std::string(TokenId)>& spell, const std::function<float(TokenId)>& score) {
    std::vector<std::string> texts;
    std::vector<std::int32_t> kinds;
    std::vector<float> scores;
    for (TokenId id = 0; id < n_vocab_; ++id) {
      const bool known = id < tokenizer_.n_vocab() && !tokenizer_.token_text(id).empty();
      texts.push_back(known ? spell(id) : fmt::format("[PAD{}]", id));
      kinds.push_back(static_cast<std::int32_t>(known ? tokenizer_.token_kind(id) : TokenKind::unused));
      if (known && kinds.back() == 0) kinds.back() = static_cast<std::int32_t>(TokenKind::normal);
      if (score) scores.push_back(known ? score(id) : 0);
    }
    header_.set_strings(key("tokens"), texts);
    if (score) header_.set_f32s(key("scores"), scores);
    header_.set_i32s(key("token_type"), kinds);
  }

  // The same with the kinds that SentencePiece vocabularies tell apart.
  void set_pieces(const std::function<float(TokenId)>& score) {
    set_tokens([this](TokenId id) { return std::string(tokenizer_.token_text(id)); }, score);
    std::vector<std::int32_t> kinds;
    const std::optional<TokenId> unknown = tokenizer_.special().unk;
    for (TokenId id = 0; id < n_vocab_; ++id) {
      const bool known = id < tokenizer_.n_vocab() && !tokenizer_.token_text(id).empty();
      TokenKind kind = known ? tokenizer_.token_kind(id) : TokenKind::unused;
      if (known && byte_token_value(tokenizer_.token_text(id)) >= 0) kind = TokenKind::byte;
      if (unknown == id) kind = TokenKind::unknown;
      kinds.push_back(static_cast<std::int32_t>(kind == TokenKind::undefined ? TokenKind::normal : kind));
    }
    header_.set_i32s(key("token_type"), kinds);
  }

  void set_id(std::string_view name, std::optional<TokenId> id) {
    if (id) header_.set_u32(key(name), static_cast<std::uint32_t>(*id));
  }

  // Ids with a role, and which are put around a text.
  void add_roles() {
    SpecialTokens special = tokenizer_.special();
    const std::vector<TokenId> plain = tokenizer_.encode("a"), whole = tokenizer_.encode("a", {.add_special = true});
    const auto at = std::search(whole.begin(), whole.end(), plain.begin(), plain.end());
    const bool begins = at != whole.begin(), ends = whole.end() - at > static_cast<std::ptrdiff_t>(plain.size());
    if (begins && !special.bos) special.bos = whole.front();
    if (ends && !special.eos && special.sep != whole.back()) special.eos = whole.back();
    if (!special.eos) special.eos = end_in_config();
    // Ends of generation that generation_config.json names beside the first.
    for (const TokenId id : special.end_of_generation) {
      if (special.eos == id || special.eot == id || special.eom == id) continue;
      if (!special.eot) {
        special.eot = id;
      } else if (!special.eom) {
        special.eom = id;
      }
    }
    set_id("bos_token_id", special.bos);
    set_id("eos_token_id", special.eos);
    set_id("unknown_token_id", special.unk);
    set_id("seperator_token_id", special.sep);
    set_id("padding_token_id", special.pad);
    set_id("mask_token_id", special.mask);
    set_id("cls_token_id", special.cls);
    set_id("eot_token_id", special.eot);
    set_id("eom_token_id", special.eom);
    set_id("fim_pre_token_id", special.fim_prefix);
    set_id("fim_suf_token_id", special.fim_suffix);
    set_id("fim_mid_token_id", special.fim_middle);
    set_id("fim_pad_token_id", special.fim_pad);
    set_id("fim_rep_token_id", special.fim_repo);
    set_id("fim_sep_token_id", special.fim_separator);
    header_.set_bool(key("add_bos_token"), begins);
    header_.set_bool(key("add_eos_token"), ends);
    const std::size_t n_between = tokenizer_.encode_pair("a", "a", {.add_special = true}).size() - 2 * plain.size() -
                                  (whole.size() - plain.size());
    adds_separator_ = special.sep && n_between > (ends ? 1U : 0U);
    header_.set_bool(key("add_sep_token"), adds_separator_);
  }

  void refuse_other_bpe() const {
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const auto found = model_.find(name);
      if (found != model_.end() && found->is_string() && !found->get_ref<const std::string&>().empty()) {
        fail(fmt::format("a BPE with {} {}, which GGUF files cannot hold", name,
                         formats::quote(found->get<std::string>())));
      }
    }
  }

  // eos_token_id of generation_config.json or config.json.
  std::optional<TokenId> end_in_config() const {
    for (const char* name : {"generation_config.json", "config.json"}) {
      const std::filesystem::path path = std::filesystem::path(folder_) / name;
      std::error_code error;
      if (!std::filesystem::is_regular_file(path, error)) continue;
      const MappedFile file(path.string());
      const JsonNode config = JsonNode::parse(file.bytes().begin(), file.bytes().end(), nullptr, false);
      if (!config.is_object()) continue;
      JsonNode id = config.value("eos_token_id", JsonNode());
      if (id.is_array() && !id.empty()) id = JsonNode(id[0]);
      if (id.is_number_integer() && id >= 0 && id < n_vocab_) return id.get<TokenId>();
    }
    return std::nullopt;
  }

  // Where a vocabulary names no end of texts, readers take id 11 (byte-level) or 1 (Unigram): an unused token is named
  // then.
  void name_some_end() {
    if (tokenizer_.special().eos || end_in_config()) return;
    for (TokenId id = 0; id < n_vocab_; ++id) {
      const bool unused = id >= tokenizer_.n_vocab() || tokenizer_.token_kind(id) == TokenKind::unused;
      if (unused) return set_id("eos_token_id", id);
    }
  }

  // The first setting that cuts plain texts as the tokenizer does. What the keys of GGUF files say then is all that
  // other readers know; if that is not all there is to say, the rules themselves go with it. Returns what they add.
  std::string choose(const VocabularyTrial& trial, const std::vector<Setting>& settings) {
    std::optional<std::string> differs;
    for (const Setting& set : settings) {
      set();
      differs = trial.difference(header_, VocabularyTrial::Texts::plain);
      if (!differs) break;
    }
    if (differs) {
      fail(fmt::format("the vocabulary cannot be written: {} would be cut otherwise", formats::quote(*differs)));
    }
    return add_rules(trial);
  }

  std::string add_rules(const VocabularyTrial& trial) {
    if (!trial.difference(header_, VocabularyTrial::Texts::all) && !strips_white_space()) return "";
    if (json_.is_object()) header_.set_string(text_rules_key, text_rules(json_));
    if (const auto differs = trial.difference(header_, VocabularyTrial::Texts::all)) {
      fail(fmt::format("the vocabulary cannot be written: {} would be cut otherwise", formats::quote(*differs)));
    }
    return "; some texts are cut so by llmgen only";
  }

  bool strips_white_space() const {
    if (!json_.is_object()) return false;
    for (const JsonNode& token : json_.value("added_tokens", JsonNode::array())) {
      if (token.value("lstrip", false) || token.value("rstrip", false)) return true;
    }
    return false;
  }

  std::string write_byte_bpe() {
    header_.set_string(key("model"), "gpt2");
    name_some_end();
    set_tokens([this](TokenId id) { return std::string(tokenizer_.token_text(id)); }, nullptr);
    std::vector<std::string> merges;
    for (const JsonNode& merge : model_.value("merges", JsonNode::array())) {
      merges.push_back(merge.is_array() ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                                        : merge.get<std::string>());
    }
    header_.set_strings(key("merges"), merges);
    if (!pre_.empty()) {
      if (find_pretokenizer(pre_) == nullptr) fail(fmt::format("no pre-tokenizer {}", formats::quote(pre_)));
      header_.set_string(key("pre"), pre_);
      return fmt::format("BPE ({})", pre_);
    }
    const VocabularyTrial trial(tokenizer_, json_);
    for (const RecognizedPreTokenizer& pre :
         recognize_pretokenizer(json_.value("pre_tokenizer", JsonNode()), model_.value("ignore_merges", false),
                                VocabularyTrial::texts())) {
      header_.set_string(key("pre"), pre.name);
      if (find_pretokenizer(pre.name)->add_sep != adds_separator_) continue;
      if (!trial.difference(header_, VocabularyTrial::Texts::plain)) {
        return fmt::format("BPE ({}{})", pre.name, add_rules(trial));
      }
    }
    fail("its pre_tokenizer has no name in GGUF files; --pretokenizer NAME writes one of theirs all the same");
  }

  std::string write_sentencepiece_bpe() {
    header_.set_string(key("model"), "llama");
    header_.set_string(key("pre"), "default");
    const auto scores = model_.is_object() ? scores_of_merges(model_.value("merges", JsonNode::array()))
                                           : std::unordered_map<std::string, float>();
    const Vocabulary& vocabulary = tokenizer_.impl().vocabulary;
    set_pieces([&](TokenId id) {
      if (!model_.is_object()) return vocabulary.score(id);
      const auto found = scores.find(std::string(tokenizer_.token_text(id)));
      return found == scores.end() ? -1e6f : found->second;
    });
    return "SentencePiece BPE" + choose(VocabularyTrial(tokenizer_, json_), switches({"add_space_prefix"}));
  }

  // All combinations of these keys, the usual one (all true) first.
  std::vector<Setting> switches(const std::vector<std::string>& names) {
    std::vector<Setting> settings;
    for (unsigned mask = 0; mask < (1u << names.size()); ++mask) {
      settings.push_back([this, names, mask] {
        for (std::size_t i = 0; i < names.size(); ++i) header_.set_bool(key(names[i]), (mask >> i & 1u) == 0);
      });
    }
    return settings;
  }

  std::string write_wordpiece() {
    header_.set_string(key("model"), "bert");
    const std::string continuing = model_.value("continuing_subword_prefix", "##");
    set_tokens(
        [&](TokenId id) {
          std::string text(tokenizer_.token_text(id));
          if (tokenizer_.token_kind(id) == TokenKind::control || (text.starts_with('[') && text.ends_with(']'))) {
            return text;
          }
          return text.starts_with(continuing) ? text.substr(continuing.size()) : "▁" + text;
        },
        nullptr);
    const std::vector<TokenId> whole = tokenizer_.encode("a", {.add_special = true});
    set_id("bos_token_id", whole.front());
    set_id("cls_token_id", whole.front());
    set_id("seperator_token_id", whole.back());
    return "WordPiece" +
           choose(VocabularyTrial(tokenizer_, json_), switches({"normalizer.lowercase", "normalizer.strip_accents"}));
  }

  std::string write_unigram() {
    header_.set_string(key("model"), "t5");
    name_some_end();
    header_.set_string(key("pre"), "default");
    const Vocabulary& vocabulary = tokenizer_.impl().vocabulary;
    set_pieces([&](TokenId id) { return vocabulary.score(id); });
    find_characters(json_.is_object() ? json_.value("normalizer", JsonNode()) : JsonNode());
    if (!characters_.empty()) {
      header_.set_i8s(key("precompiled_charsmap"), std::as_bytes(std::span(characters_)));
    }
    return "Unigram" +
           choose(VocabularyTrial(tokenizer_, json_), switches({"add_space_prefix", "remove_extra_whitespaces"}));
  }

  void find_characters(const JsonNode& normalizer) {
    if (!normalizer.is_object()) return;
    if (normalizer.value("type", "") == "Precompiled") {
      const auto map = decode_base64(normalizer.value("precompiled_charsmap", ""));
      if (map) characters_ = *map;
    }
    for (const JsonNode& part : normalizer.value("normalizers", JsonNode::array())) find_characters(part);
  }

  const Tokenizer& tokenizer_;
  const std::string& folder_;
  std::int64_t n_vocab_;
  const std::string& pre_;
  GgufHeader& header_;
  JsonNode json_, model_;
  bool unigram_file_ = false;
  bool adds_separator_ = false;  // between two texts, besides the end of the first
  std::string characters_;       // SentencePiece's map of replacements
};

}  // namespace

std::string write_gguf_vocabulary(const Tokenizer& tokenizer, const std::string& folder, std::int64_t n_vocab,
                                  const std::string& pre, GgufHeader& header) {
  return VocabularyWriter(tokenizer, folder, n_vocab, pre, header).write();
}

}  // namespace llm::tokenizer
