#include "tokenizer/numbered_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tokenizer/config_json.h"

namespace llm::tokenizer {

namespace {

using nlohmann::json;

// Tokens that a list in the configuration adds, as texts or as objects with their content.
std::vector<std::string> listed_tokens(const json& config, const json& special) {
  std::vector<std::string> texts;
  for (const json* object : {&special, &config}) {
    const json& list = member_of(*object, "additional_special_tokens");
    if (!list.is_array() || !texts.empty()) continue;
    for (const json& item : list) {
      if (item.is_string()) texts.push_back(item.get<std::string>());
      if (item.is_object()) texts.push_back(text_or(item, "content", ""));
    }
  }
  return texts;
}

bool is_inside(std::string_view text, std::string_view before, std::string_view after) {
  return text.size() > before.size() + after.size() && text.starts_with(before) && text.ends_with(after);
}

// Classes whose numbering is known, by tokenizer_class and by model_type.
constexpr std::string_view numbered_classes[] = {"T5",    "MT5",     "UMT5", "Pegasus", "XLMRoberta",
                                                 "MBart", "MBart50", "Nllb", "M2M100",  "Marian"};
constexpr std::string_view numbered_models[] = {"t5",          "mt5",   "umt5",    "pegasus",
                                                "xlm-roberta", "mbart", "m2m_100", "marian"};

class NumberingReader {
 public:
  NumberingReader(const PieceFiles& files, const std::string& source)
      : files_(files),
        source_(source),
        config_(parse_object(files.tokenizer_config, source + "/tokenizer_config.json")),
        special_(parse_object(files.special_tokens, source + "/special_tokens_map.json")),
        model_(parse_object(files.model_config, source + "/config.json")),
        kind_(text_or(config_, "tokenizer_class", "")) {}

  PieceNumbering read(PieceScheme scheme) {
    check_class();
    if (scheme == PieceScheme::listed) {
      read_listed();
    } else if (text_or(model_, "model_type", "") == "pegasus") {
      read_pegasus();
    } else if (find_piece("<s>") == kNoToken || kind_.starts_with("T5") || kind_.starts_with("MT5")) {
      read_t5();
    } else {
      read_fairseq();
    }
    return std::move(n_);
  }

 private:
  void check_class() const {
    std::string_view name = kind_;
    if (name.ends_with("Fast")) name.remove_suffix(4);
    if (name.ends_with("Tokenizer")) name.remove_suffix(9);
    const std::string model = text_or(model_, "model_type", "");
    const auto has = [](auto& names, std::string_view text) {
      return std::find(std::begin(names), std::end(names), text) != std::end(names);
    };
    if (name.empty() ? model.empty() || has(numbered_models, model) : has(numbered_classes, name)) return;
    throw Error(
        ErrorCode::model,
        fmt::format("{}: no tokenizer.json, and how {} numbers the pieces of its SentencePiece model is not known",
                    source_, name.empty() ? model : kind_));
  }

  TokenId add(std::string text, TokenKind kind, bool always = false) {
    n_.tokens.push_back({std::move(text), kind, always, 0});
    return static_cast<TokenId>(n_.tokens.size()) - 1;
  }
  TokenId find(std::string_view text, std::size_t from = 0) const {
    for (std::size_t i = from; i < n_.tokens.size(); ++i) {
      if (n_.tokens[i].text == text) return static_cast<TokenId>(i);
    }
    return kNoToken;
  }
  const std::vector<PieceNumbering::Token>& pieces() {
    if (pieces_.empty()) pieces_ = read_pieces(files_.sentencepiece, source_);
    return pieces_;
  }
  TokenId find_piece(std::string_view text) {
    const auto at =
        std::find_if(pieces().begin(), pieces().end(), [&](const PieceNumbering::Token& t) { return t.text == text; });
    return at == pieces().end() ? kNoToken : static_cast<TokenId>(at - pieces().begin());
  }
  void set_control(TokenId id, TokenKind kind = TokenKind::control) {
    if (id != kNoToken) n_.tokens[static_cast<std::size_t>(id)].kind = kind;
  }
  void set_roles() {
    n_.unknown = find("<unk>");
    n_.eos = find("</s>");
    n_.pad = find("<pad>");
    n_.bos = find("<s>");
    set_control(n_.unknown, TokenKind::unknown);
    for (const TokenId id : {n_.eos, n_.pad, n_.bos}) set_control(id);
    if (n_.unknown == kNoToken || n_.eos == kNoToken) {
      throw Error(ErrorCode::model, source_ + ": the vocabulary has no <unk> or no </s>");
    }
  }

  // Marian: </s> ends a source; >>deu<< before it says the language of the answer. M2M-100: its languages follow the
  // list, one of them begins a source.
  void read_listed() {
    if (const auto flag = config_.find("separate_vocabs"); flag != config_.end() && *flag == true) {
      throw Error(ErrorCode::model,
                  source_ + ": separate_vocabs: found true, expected one vocabulary for both languages");
    }
    const json list = parse_object(files_.vocabulary, source_ + "/vocab.json");
    n_.tokens.resize(list.size());
    for (const auto& [text, id] : list.items()) {
      const std::int64_t value = id.is_number_integer() ? id.get<std::int64_t>() : -1;
      if (value < 0 || value >= static_cast<std::int64_t>(list.size())) {
        throw Error(ErrorCode::model,
                    fmt::format("{}/vocab.json: id of a token: {}, expected 0 to {}", source_,
                                id.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 40), list.size() - 1));
      }
      const bool names_language = is_inside(text, ">>", "<<");
      n_.tokens[static_cast<std::size_t>(value)] = {text, names_language ? TokenKind::control : TokenKind::normal,
                                                    names_language};
    }
    set_roles();
    n_.after = {n_.eos};
    n_.name = "vocab.json";
    for (std::string& text : listed_tokens(config_, special_)) {
      const bool is_new = !list.contains(text) && find(text, list.size()) == kNoToken;
      if (is_inside(text, "__", "__") && is_new) add(std::move(text), TokenKind::control);
    }
    const TokenId language = find("__" + text_or(config_, "src_lang", "en") + "__");
    if (language != kNoToken) n_.before = {language};
  }

  // <extra_id_99> ... <extra_id_0> follow the pieces.
  void read_t5() {
    n_.tokens = pieces();
    set_roles();
    for (std::int64_t i = std::clamp<std::int64_t>(number_or(config_, "extra_ids", 100), 0, 10'000); i-- > 0;) {
      const std::string text = fmt::format("<extra_id_{}>", i);
      if (find_piece(text) == kNoToken) add(text, TokenKind::control);
    }
    n_.after = {n_.eos};
    n_.name = "T5";
  }

  // Two control tokens, masks, then the pieces without those two.
  void read_pegasus() {
    const std::int64_t offset = std::clamp<std::int64_t>(number_or(config_, "offset", 103), 3, 10'000);
    add("<pad>", TokenKind::control);
    add("</s>", TokenKind::control);
    add("<mask_1>", TokenKind::control);
    add("<mask_2>", TokenKind::control);
    for (std::int64_t i = 2; static_cast<std::int64_t>(n_.tokens.size()) < offset + 2; ++i) {
      add(fmt::format("<unk_{}>", i), TokenKind::control);
    }
    for (std::size_t i = 2; i < pieces().size(); ++i) n_.tokens.push_back(pieces()[i]);
    set_roles();
    n_.after = {n_.eos};
    n_.name = "PEGASUS";
  }

  // <s>, <pad>, </s>, <unk>, the pieces after their own three, the languages, <mask>.
  void read_fairseq() {
    for (const char* text : {"<s>", "<pad>", "</s>", "<unk>"}) add(text, TokenKind::control);
    for (std::size_t i = 3; i < pieces().size(); ++i) n_.tokens.push_back(pieces()[i]);
    for (std::string& text : listed_tokens(config_, special_)) {
      if (!text.empty() && text != "<mask>") add(std::move(text), TokenKind::control);
    }
    add("<mask>", TokenKind::control);
    set_roles();
    const bool is_nllb = kind_.starts_with("Nllb");
    const TokenId language = find(text_or(config_, "src_lang", is_nllb ? "eng_Latn" : "en_XX"));
    n_.name = "XLM-R";
    if (language == kNoToken) {
      n_.before = {n_.bos};
      n_.after = {n_.eos};
    } else if (kind_.starts_with("MBartTokenizer")) {
      n_.after = {n_.eos, language};
    } else {
      n_.before = {language};
      n_.after = {n_.eos};
    }
  }

  const PieceFiles& files_;
  std::string source_;
  json config_, special_, model_;
  std::string kind_;  // tokenizer_class
  std::vector<PieceNumbering::Token> pieces_;
  PieceNumbering n_;
};

}  // namespace

PieceNumbering read_numbering(const PieceFiles& files, PieceScheme scheme, const std::string& source) {
  return NumberingReader(files, source).read(scheme);
}

}  // namespace llm::tokenizer
