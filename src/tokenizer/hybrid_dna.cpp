#include "tokenizer/hybrid_dna.h"

#include <algorithm>
#include <string>

#include "tokenizer/model_sink.h"

namespace llm::tokenizer {

namespace {

constexpr std::string_view kOpen = "<dna>", kClose = "</dna>";
constexpr std::size_t kLetters = 6;

class HybridDna : public Model {
 public:
  HybridDna(const Vocabulary& vocabulary, std::unique_ptr<const Model> ordinary, SplitterChain splitter)
      : vocabulary_(vocabulary),
        ordinary_(std::move(ordinary)),
        splitter_(std::move(splitter)),
        open_(vocabulary.find(kOpen)),
        close_(vocabulary.find(kClose)),
        unknown_(vocabulary.find("<oov>")) {}

  std::unique_ptr<Scratch> make_scratch() const override { return ordinary_->make_scratch(); }

  void encode(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const override {
    const bool complete = open_ != kNoToken && close_ != kNoToken && unknown_ != kNoToken;
    while (!text.empty()) {
      const std::size_t begin = complete ? std::min(text.find(kOpen), text.size()) : text.size();
      encode_ordinary(text.substr(0, begin), scratch, out);
      if (begin == text.size()) return;
      out.push_back(open_);
      text.remove_prefix(begin + kOpen.size());
      const std::size_t end = text.find(kClose);
      encode_letters(text.substr(0, end), out);
      if (end == std::string_view::npos) return;
      out.push_back(close_);
      text.remove_prefix(end + kClose.size());
    }
  }

 private:
  void encode_ordinary(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const {
    if (text.empty()) return;
    ModelSink sink(*ordinary_, scratch, out, text.size());
    splitter_.split(text, sink);
  }

  void encode_letters(std::string_view letters, std::vector<TokenId>& out) const {
    std::string kmer;
    for (std::size_t at = 0; at < letters.size(); at += kLetters) {
      kmer.assign(letters.substr(at, kLetters));
      std::transform(kmer.begin(), kmer.end(), kmer.begin(),
                     [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
      kmer.resize(kLetters, 'A');
      kmer += kKmerMark;
      const TokenId id = vocabulary_.find(kmer);
      out.push_back(id == kNoToken ? unknown_ : id);
    }
  }

  const Vocabulary& vocabulary_;
  std::unique_ptr<const Model> ordinary_;
  SplitterChain splitter_;
  TokenId open_, close_, unknown_;
};

}  // namespace

std::unique_ptr<const Model> make_hybrid_dna(const Vocabulary& vocabulary, std::unique_ptr<const Model> ordinary,
                                             SplitterChain splitter) {
  return std::make_unique<HybridDna>(vocabulary, std::move(ordinary), std::move(splitter));
}

}  // namespace llm::tokenizer
