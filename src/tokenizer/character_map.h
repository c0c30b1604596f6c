#ifndef TOKENIZER_CHARACTER_MAP_H
#define TOKENIZER_CHARACTER_MAP_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llm::tokenizer {

// SentencePiece's compiled normalisation rules: a 32-bit size, a double-array trie of that many bytes (units of 32 bits
// as darts-clone lays them out), then the replacements, each ended by a zero byte.
class CharacterMap {
 public:
  CharacterMap() = default;  // maps nothing
  // Throws Error(model) starting with `source` if the sizes do not fit.
  CharacterMap(std::string_view blob, std::string_view source);

  struct Match {
    std::string_view replacement;
    std::size_t length = 0;  // bytes replaced
  };
  // The longest rule that applies at the start of the text.
  std::optional<Match> find(std::string_view text) const;
  // The replacement of the shortest rule that applies there.
  std::optional<std::string_view> find_shortest(std::string_view text) const;
  bool empty() const { return units_.empty(); }

 private:
  std::optional<Match> find(std::string_view text, bool shortest) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace llm::tokenizer

#endif
