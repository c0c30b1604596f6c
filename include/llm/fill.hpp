#ifndef LLM_FILL_HPP
#define LLM_FILL_HPP

#include <cstddef>
#include <string_view>
#include <vector>

#include <llm/engine.hpp>

namespace llm {
inline namespace v1 {

struct FillOptions {
  EngineOptions engine = {};
  int top = 5;  ///< candidates of each mask; 0: the whole vocabulary
};

struct FillCandidate {
  TokenId id = 0;
  double probability = 0;  ///< of all tokens at this place: softmax over the vocabulary
  double logprob = 0;      ///< its natural logarithm
};

/// One mask of a text: its place among the ids, and the likeliest tokens there, best first.
struct FilledMask {
  std::size_t position = 0;
  std::vector<FillCandidate> candidates = {};
};

/// The likeliest tokens at every mask of the ids, each as if the other masks stayed. One pass over the text, nothing is
/// kept. Throws Error(model) if the model has no head for masked tokens, Error(usage) if no id is the mask token,
/// Error(context) if the text is too long.
LLM_API std::vector<FilledMask> fill(const Model& model, const std::vector<TokenId>& ids,
                                     const FillOptions& options = {});

/// Ids of a text with masks, with the start and end tokens of the model. Masks are spelled as the model does, or [MASK]
/// or <mask>. Throws Error(usage) if there is none.
LLM_API std::vector<TokenId> encode_masked(const Model& model, std::string_view text);

}  // namespace v1
}  // namespace llm

#endif
