#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "formats/quote.h"
#include "tokenizer/bpe.h"
#include "tokenizer/join_splitter.h"
#include "tokenizer/piece_pipeline.h"
#include "tokenizer/special_roles.h"
#include "tokenizer/vocabulary_files.h"

namespace llm::tokenizer {

namespace {

struct Entry {
  float score = 0;
  std::string_view text;
};

// The entries one after the other; ok() turns false where the bytes do not fit.
class Entries {
 public:
  explicit Entries(std::string_view bytes) : bytes_(bytes) {
    ok_ = read(longest_) && longest_ > 0 && longest_ < (1 << 20);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t position() const { return at_; }
  Entry next() {
    Entry entry;
    std::int32_t length = 0;
    ok_ = ok_ && read(entry.score) && read(length) && std::isfinite(entry.score) && length >= 0 && length <= longest_ &&
          static_cast<std::size_t>(length) <= bytes_.size() - at_;
    if (!ok_) return {};
    entry.text = bytes_.substr(at_, static_cast<std::size_t>(length));
    at_ += entry.text.size();
    return entry;
  }

 private:
  template <typename T>
  bool read(T& value) {
    if (bytes_.size() - at_ < sizeof value) return false;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return true;
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
  std::int32_t longest_ = 0;
  bool ok_ = false;
};

std::string trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \n") - begin + 1));
}

}  // namespace

bool looks_like_llama2c(std::string_view bytes) {
  Entries entries(bytes);
  for (int i = 0; i < 16 && entries.ok() && !entries.at_end(); ++i) entries.next();
  return entries.ok() && bytes.size() > 64;
}

// The exporter writes plain spaces for U+2581 and puts newlines around the texts of start and end token.
Tokenizer make_llama2c_tokenizer(std::string_view bytes, const std::string& source) {
  auto impl = std::make_unique<Tokenizer::Impl>();
  Vocabulary& vocabulary = impl->vocabulary;
  vocabulary.reserve(bytes.size() / 12, bytes.size());
  Entries entries(bytes);
  while (entries.ok() && !entries.at_end()) {
    const std::size_t position = entries.position();
    const Entry entry = entries.next();
    if (!entries.ok()) {
      throw Error(ErrorCode::model, fmt::format("{}: token {} at byte {} reaches beyond the end or has no score",
                                                source, vocabulary.size(), position));
    }
    const TokenId id = vocabulary.size();
    if (id <= 2) {
      constexpr std::string_view kNames[] = {"<unk>", "<s>", "</s>"};
      std::string text = trim(entry.text);
      if (text.empty()) text = kNames[id];
      vocabulary.add(text, id == 0 ? TokenKind::unknown : TokenKind::control, entry.score);
    } else if (byte_token_value(entry.text) >= 0) {
      vocabulary.add(entry.text, TokenKind::byte, entry.score);
    } else if (id < 259 && entry.text.size() == 1) {
      // Some exporters resolve byte tokens: id 3 is byte 0.
      vocabulary.add(byte_token_text(static_cast<unsigned char>(entry.text[0])), TokenKind::byte, entry.score);
    } else if (entry.text.empty()) {
      vocabulary.add(fmt::format("[EMPTY_{}]", id), TokenKind::unused, entry.score);
    } else {
      vocabulary.add(escape_spaces(entry.text, false), TokenKind::normal, entry.score);
    }
  }
  if (vocabulary.size() < 3) throw Error(ErrorCode::model, fmt::format("{}: {} tokens", source, vocabulary.size()));
  vocabulary.build_index();
  impl->special.unk = 0;
  impl->special.bos = 1;
  impl->special.eos = 2;
  impl->special.add_bos = true;

  PiecePipeline::Options pipeline;
  Bpe::Options bpe;
  bpe.units = Bpe::Units::characters;
  bpe.byte_fallback = bpe.plain_bytes = true;
  bpe.unknown = 0;
  auto model = std::make_unique<Bpe>(vocabulary, std::move(bpe));
  model->add_merges_from_scores();
  pipeline.model = std::move(model);
  pipeline.splitter.add(std::make_unique<JoinSplitter>(vocabulary));
  pipeline.normalizer = [](std::string_view text, bool starts) { return escape_spaces(text, starts); };
  pipeline.spelling = Spelling::escaped;
  pipeline.drop_first_space = true;
  pipeline.fuse = 0;
  pipeline.before.push_back(1);
  assign_roles_by_text(vocabulary, impl->special);
  for (const TokenId id : {0, 1, 2}) pipeline.specials.add(vocabulary.text(id), id, false);
  impl->description = "SentencePiece BPE (llama2.c)";
  impl->pipeline = std::make_unique<PiecePipeline>(vocabulary, std::move(pipeline));
  return Tokenizer(std::move(impl));
}

}  // namespace llm::tokenizer
