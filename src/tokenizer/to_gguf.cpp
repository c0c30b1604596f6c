#include "tokenizer/to_gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "base/mapped_file.h"
#include "formats/gguf_reader.h"
#include "formats/quote.h"
#include "tokenizer/base64.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/protobuf.h"

namespace llm::tokenizer {
namespace {

using formats::GgufHeader;
using JsonNode = nlohmann::json;

// Texts on which pre-tokenizers and normalisers differ: white space, line ends, digits, contractions, letters of many
// scripts with and without marks, cases, punctuation, symbols.
constexpr std::string_view trial_texts[] = {
    "Hello, world! It's 12345 o'clock; we've 3.14 and 1,000,000.",
    "  two spaces, a\ttab\n\nand   lines  \r\n  \n\n\n   end   ",
    "I'LL don't THEY'RE you'd HELLO'S x'y 'tis",
    "naïve café Ångström ÀÉÎ straße ŒUVRE ﬁ½²",
    "Привет, мир! Ёлка 2024 года.",
    "こんにちは世界。カタカナと漢字、１２３。",
    "我想在apple工作1314151天～ 中文标点：“好”！",
    "안녕하세요 세계 123",
    "مرحبا بالعالم ١٢٣ שלום עולם",
    "नमस्ते दुनिया १२३ กำลังทดสอบ ภาษาไทย កាន់តែពិសេស",
    "🚀 (normal) 😶‍🌫️ 👩‍👩‍👧‍👦 ✅ €100 ©2024 →←",
    "int main() { return a[0] != b->c ? x++ : ~y; } // comment_with_underscores camelCaseWords HTTPServer2",
    "https://example.com/path?query=1&x=%20#frag user@host.org $PATH /usr/bin #!tag ====---- ......!!!!??",
    "e\xCC\x81 a\xCC\x88 combining; Zero\xE2\x80\x8Bwidth; nbsp\xC2\xA0here; \xE3\x80\x80wide",
    "ends with space ",
    " ",
    "\n",
    "a",
    "3 33 333 3333 33333 333333 1a2b3c A1 B22",
    "The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX. tHe QuIcK.",
};

bool agrees(const Tokenizer& a, const Tokenizer& b, std::string_view text) {
  for (const bool add_special : {false, true}) {
    if (a.encode(text, {.add_special = add_special}) != b.encode(text, {.add_special = add_special})) return false;
  }
  return true;
}

// The first text that the keys cut otherwise; nullopt if they agree on all.
std::optional<std::string_view> first_disagreement(const Tokenizer& tokenizer, const GgufHeader& header) {
  const std::vector<std::byte> bytes = header.encode();
  const Tokenizer written = make_tokenizer(formats::parse_gguf(bytes, "the vocabulary").metadata);
  for (const std::string_view text : trial_texts) {
    if (!agrees(tokenizer, written, text)) return text;
  }
  return std::nullopt;
}

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
    const std::filesystem::path sentencepiece = folder / "tokenizer.model";
    if (!unigram_file_ || !std::filesystem::is_regular_file(sentencepiece, error)) {
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
    if (ends && !special.eos) special.eos = whole.back();
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
  }

  // The first setting with which the keys cut the texts as the tokenizer does.
  void choose(const std::vector<Setting>& settings, const std::string& advice) {
    std::string_view differs;
    for (const Setting& set : settings) {
      set();
      const std::optional<std::string_view> text = first_disagreement(tokenizer_, header_);
      if (!text) return;
      differs = *text;
    }
    fail(fmt::format("the vocabulary cannot be written: {} would be cut otherwise{}", formats::quote(differs), advice));
  }

  std::string write_byte_bpe() {
    header_.set_string(key("model"), "gpt2");
    set_tokens([this](TokenId id) { return std::string(tokenizer_.token_text(id)); }, nullptr);
    std::vector<std::string> merges;
    for (const JsonNode& merge : model_.value("merges", JsonNode::array())) {
      merges.push_back(merge.is_array() ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                                        : merge.get<std::string>());
    }
    header_.set_strings(key("merges"), merges);
    std::string chosen = pre_;
    std::vector<Setting> settings;
    const auto add = [&](std::string_view name) {
      settings.push_back([this, name, &chosen] {
        chosen = std::string(name);
        header_.set_string(key("pre"), name);
      });
    };
    if (!pre_.empty()) {
      if (find_pretokenizer(pre_) == nullptr) fail(fmt::format("no pre-tokenizer {}", formats::quote(pre_)));
      header_.set_string(key("pre"), pre_);
      return fmt::format("BPE ({})", chosen);
    }
    for (const std::string_view name : candidates()) add(name);
    choose(settings, " with every pre-tokenizer; --pretokenizer NAME writes one all the same");
    return fmt::format("BPE ({})", chosen);
  }

  // One name for each way of cutting. Of equal ones the name that readers have known longest.
  std::vector<std::string_view> candidates() const {
    const bool ignores = model_.value("ignore_merges", false);
    std::vector<std::string_view> names;
    std::vector<std::pair<SplitRule, bool>> seen;
    // What most models have is tried first.
    for (const std::string_view first : {"llama-bpe", "qwen2", "gpt-2", "smollm", "deepseek-v3", "gpt-4o", "tekken"}) {
      add_candidate(*find_pretokenizer(first), ignores, names, seen);
    }
    for (const PreTokenizer& pre : pretokenizers()) {
      if (pre.name != "default" && pre.byte_level) add_candidate(pre, ignores, names, seen);
    }
    return names;
  }

  static void add_candidate(const PreTokenizer& pre, bool ignores, std::vector<std::string_view>& names,
                            std::vector<std::pair<SplitRule, bool>>& seen) {
    const std::pair<SplitRule, bool> kind{pre.rule, pre.add_sep};
    if (pre.ignore_merges != ignores || std::find(seen.begin(), seen.end(), kind) != seen.end()) return;
    seen.push_back(kind);
    names.push_back(pre.name);
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
    choose(switches({"add_space_prefix"}), "");
    return "SentencePiece BPE";
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
    choose(switches({"normalizer.lowercase", "normalizer.strip_accents"}), "");
    return "WordPiece";
  }

  std::string write_unigram() {
    header_.set_string(key("model"), "t5");
    header_.set_string(key("pre"), "default");
    const Vocabulary& vocabulary = tokenizer_.impl().vocabulary;
    set_pieces([&](TokenId id) { return vocabulary.score(id); });
    find_characters(json_.is_object() ? json_.value("normalizer", JsonNode()) : JsonNode());
    if (!characters_.empty()) {
      header_.set_i8s(key("precompiled_charsmap"), std::as_bytes(std::span(characters_)));
    }
    choose(switches({"add_space_prefix", "remove_extra_whitespaces"}), "");
    return "Unigram";
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
  std::string characters_;  // SentencePiece's map of replacements
};

}  // namespace

std::string write_gguf_vocabulary(const Tokenizer& tokenizer, const std::string& folder, std::int64_t n_vocab,
                                  const std::string& pre, GgufHeader& header) {
  return VocabularyWriter(tokenizer, folder, n_vocab, pre, header).write();
}

}  // namespace llm::tokenizer
