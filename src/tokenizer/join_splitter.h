#ifndef TOKENIZER_JOIN_SPLITTER_H
#define TOKENIZER_JOIN_SPLITTER_H

#include <vector>

#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace llm::tokenizer {

// Cuts a text between characters that no token has side by side: no merge reaches over such a place, so the ids are
// those of the whole text, while words stay short and can be remembered.
class JoinSplitter : public Splitter {
 public:
  explicit JoinSplitter(const Vocabulary& vocabulary);
  void split(std::string_view text, PieceSink& out) const override;

 private:
  static constexpr std::size_t kBits = std::size_t{1} << 20;
  std::vector<std::uint64_t> joins_ = std::vector<std::uint64_t>(kBits / 64);  // set of hashed pairs of characters
};

}  // namespace llm::tokenizer

#endif
