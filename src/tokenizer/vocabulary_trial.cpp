#include "tokenizer/vocabulary_trial.h"

#include <algorithm>
#include <memory>

#include "base/utf8.h"
#include "formats/gguf_reader.h"
#include "tokenizer/config_json.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/hf_json.h"

namespace llm::tokenizer {
namespace {

constexpr std::string_view trial_texts[] = {
    "Hello, world! It's 12345 o'clock; we've 3.14 and 1,000,000.",
    "I'LL don't THEY'RE you'd HELLO'S x'y 'tis",
    "naïve café Ångström ÀÉÎ straße ŒUVRE",
    "Привет, мир! Ёлка 2024 года.",
    "こんにちは世界。カタカナと漢字、123。",
    "我想在apple工作1314151天 中文标点：“好”！",
    "안녕하세요 세계 123",
    "مرحبا بالعالم ١٢٣ שלום עולם",
    "नमस्ते दुनिया १२३ กำลังทดสอบ ภาษาไทย កាន់តែពិសេស",
    "🚀 (normal) ✅ €100 ©2024 →←",
    "int main() { return a[0] != b->c ? x++ : ~y; } // comment_with_underscores camelCaseWords HTTPServer2",
    "https://example.com/path?query=1&x=%20#frag user@host.org $PATH /usr/bin #!tag ====---- ......!!!!??",
    "a",
    "3 33 333 3333 33333 333333 1a2b3c A1 B22",
    "The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX. tHe QuIcK.",
    // what only some tokenizers tell apart
    "  two spaces, a\ttab\n\nand   lines  \r\n  \n\n\n   end   ",
    "ﬁ½² １２３ ～ 😶‍🌫️ 👩‍👩‍👧‍👦",
    "e\xCC\x81 a\xCC\x88 combining; Zero\xE2\x80\x8Bwidth; nbsp\xC2\xA0here; \xE3\x80\x80wide",
    "ends with space ",
    " starts with space",
    " ",
    "\n",
};

// Text made of the texts of tokens, the same for every run.
std::vector<std::string> token_texts(const Tokenizer& tokenizer) {
  constexpr int n_texts = 64, n_tokens = 12;
  std::vector<std::string> texts;
  std::uint64_t state = 0x9E3779B97F4A7C15U;
  for (int i = 0; i < n_texts; ++i) {
    std::string text;
    for (int j = 0; j < n_tokens; ++j) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const auto id = static_cast<TokenId>((state >> 33U) % static_cast<std::uint64_t>(tokenizer.n_vocab()));
      if (tokenizer.token_kind(id) == TokenKind::normal) text += tokenizer.token_bytes(id);
    }
    if (is_valid_utf8(text)) texts.push_back(std::move(text));
  }
  return texts;
}

std::string single_spaced(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

// A byte-level pre-tokenizer that puts a space before a text.
bool prefixes_bytes(const nlohmann::json& part) {
  if (part.is_array()) return std::any_of(part.begin(), part.end(), prefixes_bytes);
  if (!part.is_object()) return false;
  if (part.value("type", "") == "ByteLevel") return part.value("add_prefix_space", true);
  return part.contains("pretokenizers") && prefixes_bytes(part["pretokenizers"]);
}

bool cut_equally(const Tokenizer& a, const Tokenizer& b, std::string_view text) {
  for (const bool add_special : {false, true}) {
    if (a.encode(text, {.add_special = add_special}) != b.encode(text, {.add_special = add_special})) return false;
  }
  return true;
}

}  // namespace

std::span<const std::string_view> VocabularyTrial::texts() {
  return trial_texts;
}

VocabularyTrial::VocabularyTrial(const Tokenizer& tokenizer, const nlohmann::json& tokenizer_json)
    : tokenizer_(tokenizer), all_(token_texts(tokenizer)) {
  all_.insert(all_.begin(), std::begin(trial_texts), std::end(trial_texts));
  const nlohmann::json& model = member_of(tokenizer_json, "model");
  // Byte-level ones bring texts into a normal form at most.
  const bool byte_level =
      tokenizer.description().starts_with("BPE") && model.is_object() && !model.value("byte_fallback", false);
  const auto normalizer =
      byte_level ? hf::make_normalizer({member_of(tokenizer_json, "normalizer"), "normalizer"}) : nullptr;
  const bool prefixes = byte_level && prefixes_bytes(member_of(tokenizer_json, "pre_tokenizer"));
  for (const std::string& text : all_) {
    hf::NormalText plain{single_spaced(text)};
    if (normalizer != nullptr) normalizer->apply(plain);
    if (!plain.text.empty()) plain_.push_back(prefixes ? " " + plain.text : plain.text);
  }
}

std::optional<std::string> VocabularyTrial::difference(const formats::GgufHeader& header, Texts which) const {
  const std::vector<std::byte> bytes = header.encode();
  const Tokenizer written = make_tokenizer(formats::parse_gguf(bytes, "the vocabulary").metadata);
  for (const std::string& text : which == Texts::plain ? plain_ : all_) {
    if (!cut_equally(tokenizer_, written, text)) return text;
  }
  return std::nullopt;
}

}  // namespace llm::tokenizer
