#include "tokenizer/vocabulary_lists.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <forward_list>
#include <llm/error.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "formats/quote.h"
#include "tokenizer/config_json.h"

namespace llm::tokenizer {
namespace {

using nlohmann::json;

constexpr std::string_view qwen2_split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

enum class ListClass : std::uint8_t { bert, gpt2, roberta, qwen2 };

// By tokenizer_class without "Tokenizer" and "Fast", else by model_type.
constexpr std::pair<std::string_view, ListClass> listed_classes[] = {
    {"Bert", ListClass::bert},       {"DistilBert", ListClass::bert},  {"Electra", ListClass::bert},
    {"bert", ListClass::bert},       {"distilbert", ListClass::bert},  {"electra", ListClass::bert},
    {"nomic_bert", ListClass::bert}, {"GPT2", ListClass::gpt2},        {"CodeGen", ListClass::gpt2},
    {"gpt2", ListClass::gpt2},       {"opt", ListClass::gpt2},         {"gpt_neo", ListClass::gpt2},
    {"gptj", ListClass::gpt2},       {"gpt_bigcode", ListClass::gpt2}, {"phi", ListClass::gpt2},
    {"Roberta", ListClass::roberta}, {"Bart", ListClass::roberta},     {"Longformer", ListClass::roberta},
    {"roberta", ListClass::roberta}, {"bart", ListClass::roberta},     {"Qwen2", ListClass::qwen2},
    {"qwen2", ListClass::qwen2},     {"qwen2_moe", ListClass::qwen2},  {"qwen3", ListClass::qwen2},
    {"qwen3_moe", ListClass::qwen2}};

// Roles whose texts a class knows without being told.
const std::map<ListClass, std::vector<std::pair<const char*, const char*>>> roles_of_classes = {
    {ListClass::bert,
     {{"unk_token", "[UNK]"},
      {"sep_token", "[SEP]"},
      {"pad_token", "[PAD]"},
      {"cls_token", "[CLS]"},
      {"mask_token", "[MASK]"}}},
    {ListClass::gpt2, {{"unk_token", "<|endoftext|>"}, {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}}},
    {ListClass::roberta,
     {{"bos_token", "<s>"},
      {"eos_token", "</s>"},
      {"sep_token", "</s>"},
      {"cls_token", "<s>"},
      {"unk_token", "<unk>"},
      {"pad_token", "<pad>"},
      {"mask_token", "<mask>"}}},
    {ListClass::qwen2, {{"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}}}};

class ListReader {
 public:
  ListReader(const VocabularyLists& files, const std::string& source)
      : files_(files),
        source_(source),
        config_(parse_object(files.tokenizer_config, source + "/tokenizer_config.json")),
        special_(parse_object(files.special_tokens_map, source + "/special_tokens_map.json")),
        added_(parse_object(files.added_tokens, source + "/added_tokens.json")),
        class_(class_of_folder()) {}

  TokenizerTexts make() {
    read_vocabulary();
    read_roles();
    add_tokens();
    json root = {{"added_tokens", std::move(tokens_)}, {"normalizer", nullptr}, {"post_processor", nullptr}};
    if (class_ == ListClass::bert) {
      add_bert(root);
    } else {
      add_bytes(root);
    }
    for (const auto& [name, text] : roles_) config_[name] = text;
    const auto text = [](const json& object) { return object.dump(-1, ' ', false, json::error_handler_t::replace); };
    return {text(root), text(config_)};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::model, fmt::format("{}: {}", source_, what));
  }

  ListClass class_of_folder() const {
    std::string name = text_or(config_, "tokenizer_class", "");
    if (name.empty()) name = text_or(parse_object(files_.model_config, source_ + "/config.json"), "model_type", "");
    std::string stem = name;
    if (stem.ends_with("Fast")) stem.erase(stem.size() - 4);
    if (stem.ends_with("Tokenizer")) stem.erase(stem.size() - 9);
    for (const auto& [known, kind] : listed_classes) {
      if (known == stem && (kind == ListClass::bert) == !files_.words.empty()) return kind;
    }
    fail(fmt::format("no tokenizer.json, and the rules of {} are not known from its lists", formats::quote(name)));
  }

  void read_vocabulary() {
    if (class_ != ListClass::bert) {
      vocabulary_ = parse_object(files_.vocabulary, source_ + "/vocab.json");
      return;
    }
    std::int64_t id = 0;
    for (std::string_view rest = files_.words; !rest.empty(); ++id) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      vocabulary_[std::string(line)] = id;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  void read_roles() {
    static constexpr const char* names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};
    const auto& defaults = roles_of_classes.at(class_);
    roles_.insert(defaults.begin(), defaults.end());
    for (const json* object : {&special_, &config_}) {
      for (const char* name : names) {
        const auto at = object->find(name);
        if (at == object->end()) continue;
        if (at->is_null()) roles_.erase(name);
        if (at->is_string()) roles_[name] = at->get<std::string>();
        if (at->is_object()) roles_[name] = text_or(*at, "content", "");
      }
    }
  }

  std::int64_t id_of(const std::string& text) const {
    for (const json* list : {&added_, &vocabulary_}) {
      const auto at = list->find(text);
      if (at != list->end() && at->is_number_integer()) return at->get<std::int64_t>();
    }
    return -1;
  }

  void add_token(std::int64_t id, const std::string& text, bool special, const json& flags) {
    if (id < 0 || text.empty() || !seen_.insert(text).second) return;
    tokens_.push_back({{"id", id},
                       {"content", text},
                       {"special", flag_or(flags, "special", special)},
                       {"normalized", flag_or(flags, "normalized", !special)},
                       {"single_word", flag_or(flags, "single_word", false)},
                       {"lstrip", flag_or(flags, "lstrip", class_ == ListClass::roberta && text == role("mask_token"))},
                       {"rstrip", flag_or(flags, "rstrip", false)}});
  }

  std::string role(const char* name) const {
    const auto found = roles_.find(name);
    return found == roles_.end() ? "" : found->second;
  }

  // Those that the configuration describes; tokens with a role; further ones.
  void add_tokens() {
    const auto described = config_.find("added_tokens_decoder");
    if (described != config_.end() && described->is_object()) {
      for (const auto& [number, token] : described->items()) {
        if (!token.is_object()) fail("tokenizer_config.json: added_tokens_decoder: expected objects");
        const std::string text = text_or(token, "content", "");
        if (id_of(text) < 0) added_[text] = std::strtoll(number.c_str(), nullptr, 10);
        add_token(id_of(text), text, false, token);
      }
    }
    for (const auto& [name, text] : roles_) add_token(id_of(text), text, true, json::object());
    for (const json* object : {&special_, &config_}) {
      const auto list = object->find("additional_special_tokens");
      if (list == object->end() || !list->is_array()) continue;
      for (const json& item : *list) {
        const std::string text = item.is_object()   ? text_or(item, "content", "")
                                 : item.is_string() ? item.get<std::string>()
                                                    : "";
        add_token(id_of(text), text, true, item.is_object() ? item : json::object());
      }
    }
    for (const auto& [text, id] : added_.items()) add_token(id_of(text), text, false, json::object());
  }

  json special_pair(const char* name) const {
    const std::string text = role(name);
    const std::int64_t id = id_of(text);
    if (id < 0) fail(fmt::format("{} {} is no token of the vocabulary", name, formats::quote(text)));
    return json::array({text, id});
  }

  void add_bert(json& root) const {
    const bool lower = flag_or(config_, "do_lower_case", true);
    const auto accents = config_.find("strip_accents");
    root["normalizer"] = {{"type", "BertNormalizer"},
                          {"clean_text", true},
                          {"handle_chinese_chars", flag_or(config_, "tokenize_chinese_chars", true)},
                          {"strip_accents", accents == config_.end() ? json() : *accents},
                          {"lowercase", lower}};
    root["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    root["post_processor"] = {
        {"type", "BertProcessing"}, {"sep", special_pair("sep_token")}, {"cls", special_pair("cls_token")}};
    root["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
    root["model"] = {{"type", "WordPiece"},
                     {"unk_token", special_pair("unk_token")[0]},
                     {"continuing_subword_prefix", "##"},
                     {"max_input_chars_per_word", 100},
                     {"vocab", vocabulary_}};
  }

  void add_bytes(json& root) const {
    json bytes = {{"type", "ByteLevel"},
                  {"add_prefix_space", flag_or(config_, "add_prefix_space", false)},
                  {"trim_offsets", true},
                  {"use_regex", class_ != ListClass::qwen2}};
    if (class_ == ListClass::qwen2) {
      root["normalizer"] = {{"type", "NFC"}};
      const json split = {
          {"type", "Split"}, {"pattern", {{"Regex", qwen2_split}}}, {"behavior", "Isolated"}, {"invert", false}};
      root["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", json::array({split, bytes})}};
    } else {
      root["pre_tokenizer"] = bytes;
    }
    root["decoder"] = {{"type", "ByteLevel"}};
    if (class_ == ListClass::roberta) {
      root["post_processor"] = {
          {"type", "RobertaProcessing"}, {"sep", special_pair("sep_token")}, {"cls", special_pair("cls_token")}};
    } else if (flag_or(config_, "add_bos_token", false)) {
      const json pair = special_pair("bos_token");
      const json begin = {{"SpecialToken", {{"id", pair[0]}, {"type_id", 0}}}};
      const auto sequence = [](const char* id) { return json{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
      root["post_processor"] = {
          {"type", "TemplateProcessing"},
          {"single", json::array({begin, sequence("A")})},
          {"pair", json::array({begin, sequence("A"), begin, sequence("B")})},
          {"special_tokens",
           {{pair[0].get<std::string>(),
             {{"id", pair[0]}, {"ids", json::array({pair[1]})}, {"tokens", json::array({pair[0]})}}}}}};
    }
    root["model"] = {{"type", "BPE"}, {"vocab", vocabulary_}, {"merges", merges()}};
  }

  json merges() const {
    json list = json::array();
    bool first = true;
    for (std::string_view rest = files_.merges; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      const bool comment = first && line.starts_with("#version");
      if (!line.empty() && !comment) list.push_back(line);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      first = false;
    }
    return list;
  }

  const VocabularyLists& files_;
  const std::string& source_;
  json config_, special_, added_;
  ListClass class_;
  json vocabulary_ = json::object();
  std::map<std::string, std::string> roles_;
  json tokens_ = json::array();
  std::set<std::string> seen_;
};

}  // namespace

TokenizerTexts tokenizer_of_lists(const VocabularyLists& files, const std::string& source) {
  return ListReader(files, source).make();
}

std::optional<TokenizerTexts> tokenizer_of_lists(const std::string& folder) {
  std::forward_list<MappedFile> files;
  const auto read = [&](const char* name) -> std::string_view {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return {};
    const std::span<const std::byte> bytes = files.emplace_front(path.string()).bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  };
  const VocabularyLists lists{.words = read("vocab.txt"),
                              .vocabulary = read("vocab.json"),
                              .merges = read("merges.txt"),
                              .tokenizer_config = read("tokenizer_config.json"),
                              .special_tokens_map = read("special_tokens_map.json"),
                              .added_tokens = read("added_tokens.json"),
                              .model_config = read("config.json")};
  if (lists.words.empty() && (lists.vocabulary.empty() || lists.merges.empty())) return std::nullopt;
  return tokenizer_of_lists(lists, folder);
}

}  // namespace llm::tokenizer
