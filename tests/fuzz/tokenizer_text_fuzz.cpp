// Cuts foreign text by every pre-tokenizer, normalises it, and encodes it with a small vocabulary of each kind: no
// piece is lost or empty, bytes come back, nothing runs away.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <llm/tokenizer.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "llama2c_file.h"
#include "tokenizer/bert_text.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/splitter.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/vocabulary_files.h"

namespace {

class Concatenation : public llm::tokenizer::PieceSink {
 public:
  explicit Concatenation(std::string_view text) : rest_(text) {}
  void piece(std::string_view text) override {
    if (text.empty() || text.data() != rest_.data() || text.size() > rest_.size()) std::abort();
    rest_.remove_prefix(text.size());
  }
  bool complete() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::vector<std::unique_ptr<const llm::tokenizer::Splitter>> make_splitters() {
  using llm::tokenizer::SplitRule;
  std::vector<std::unique_ptr<const llm::tokenizer::Splitter>> splitters;
  for (int i = 0; i <= static_cast<int>(SplitRule::lines); ++i) {
    splitters.push_back(
        std::make_unique<llm::tokenizer::SplitterChain>(llm::tokenizer::make_splitter(static_cast<SplitRule>(i))));
  }
  return splitters;
}

// Letters, their pairs and runs.
std::vector<std::string> common_texts() {
  std::vector<std::string> texts;
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; b = static_cast<char>(b + 5)) texts.push_back({a, b});
  }
  for (const char* text : {"aa", "aaaa", "  ", "    ", " a", "th", "the", "\xCC\x81\xCC\x81", "\n\n", "77"}) {
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.emplace_back(text);
  }
  return texts;
}

// Byte pair encoding of all bytes: base 64 and rank a line.
llm::Tokenizer byte_pairs() {
  const auto base64 = [](const std::string& bytes) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
      std::uint32_t group = 0;
      for (std::size_t k = 0; k < 3; ++k) {
        group = (group << 8) | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
      }
      for (std::size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kDigits[(group >> (18 - 6 * k)) & 63];
    }
    return out;
  };
  std::string file;
  int rank = 0;
  const auto add = [&](const std::string& bytes) { file += base64(bytes) + " " + std::to_string(rank++) + "\n"; };
  for (int b = 0; b < 256; ++b) add(std::string(1, static_cast<char>(b)));
  for (const std::string& text : common_texts()) add(text);
  return llm::tokenizer::make_tiktoken_tokenizer(file, "ranks", {});
}

llm::Tokenizer scored_pairs() {
  return llm::tokenizer::make_llama2c_tokenizer(llm::test::llama2c_file(common_texts()), "scores");
}

// A tokenizer.json with this model, every word of `texts` in its vocabulary.
llm::Tokenizer from_json(const std::string& parts, const std::string& before, const std::string& after, bool scores) {
  std::string items;
  int id = 0;
  for (const std::string& text : common_texts()) {
    if (text.find('\n') != std::string::npos) continue;
    const std::string number = std::to_string(++id);
    items += scores ? ",[\"" + text + "\",-" + number + "]" : ",\"" + text + "\":" + number;
  }
  const std::string json = "{" + parts + ",\"model\":{" + before + items + after + "}}";
  return llm::tokenizer::make_huggingface_tokenizer({json, "", ""}, "json");
}

struct Kinds {
  std::vector<std::unique_ptr<const llm::tokenizer::Splitter>> splitters = make_splitters();
  llm::Tokenizer bytes = byte_pairs(), scored = scored_pairs();
  llm::Tokenizer words = from_json(
      "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
      "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}",
      "\"type\":\"WordPiece\",\"unk_token\":\"?\",\"vocab\":{\"?\":0",
      "},\"continuing_subword_prefix\":\"\",\"max_input_chars_per_word\":100", false);
  llm::Tokenizer pieces = from_json(
      "\"normalizer\":{\"type\":\"NFKC\"},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\","
      "\"prepend_scheme\":\"always\",\"split\":false}",
      "\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",-9]", "]", true);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llm::tokenizer;
  static const Kinds kinds;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& splitter : kinds.splitters) {
    Concatenation pieces(text);
    splitter->split(text, pieces);
    if (!pieces.complete()) std::abort();
  }
  for (const NormalForm form : {NormalForm::nfc, NormalForm::nfd, NormalForm::nfkc, NormalForm::nfkd}) {
    const std::string normal = normalize(text, form);
    if (normalize(normal, form) != normal) std::abort();
  }
  (void)bert_normalize(text, {});
  if (kinds.bytes.decode(kinds.bytes.encode(text)) != text) std::abort();
  for (const llm::Tokenizer* tokenizer : {&kinds.scored, &kinds.words, &kinds.pieces}) {
    (void)tokenizer->decode(tokenizer->encode(text, {.add_special = true, .parse_special = true}), true);
  }
  return 0;
}
