#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <llm/evaluate.hpp>
#include <llm/fill.hpp>
#include <numeric>
#include <span>

#include "api/model_impl.h"

namespace llm {
inline namespace v1 {

namespace {

void require_mask_head(const Model& model) {
  const model::ModelSpec& spec = model.impl()->model->spec();
  if (spec.kind != model::ModelKind::encoder) {
    throw Error(ErrorCode::model, fmt::format("{}: found a model that generates text ({}), expected one trained on "
                                              "masked tokens, such as BERT",
                                              model.info().name, spec.architecture));
  }
  if (!spec.head.exists) {
    throw Error(ErrorCode::model, fmt::format("{}: found no head for masked tokens in this {} model, expected one (a "
                                              "folder of {}ForMaskedLM; GGUF files have none)",
                                              model.info().name, spec.architecture, spec.architecture));
  }
}

TokenId mask_of(const Model& model) {
  const Tokenizer* tokenizer = model.tokenizer();
  if (tokenizer != nullptr && tokenizer->special().mask) return *tokenizer->special().mask;
  throw Error(ErrorCode::model,
              fmt::format("{}: found no mask token in the vocabulary, expected one", model.info().name));
}

FilledMask candidates(std::size_t position, std::span<const float> logits, int top) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - largest);
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const std::size_t n = top <= 0 ? ids.size() : std::min<std::size_t>(static_cast<std::size_t>(top), ids.size());
  const auto at = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n), ids.end(),
                    [&](TokenId a, TokenId b) { return at(a) != at(b) ? at(a) > at(b) : a < b; });
  FilledMask mask{position};
  for (std::size_t i = 0; i < n; ++i) {
    const double logprob = at(ids[i]) - largest - std::log(sum);
    mask.candidates.push_back({ids[i], std::exp(logprob), logprob});
  }
  return mask;
}

}  // namespace

std::vector<FilledMask> fill(const Model& model, const std::vector<TokenId>& ids, const FillOptions& options) {
  require_mask_head(model);
  const TokenId mask = mask_of(model);
  if (std::find(ids.begin(), ids.end(), mask) == ids.end()) {
    throw Error(ErrorCode::usage, fmt::format("found no mask, expected {} at least once in the text",
                                              model.tokenizer()->token_text(mask)));
  }
  EvaluateOptions evaluate_options;
  evaluate_options.engine = options.engine;
  const Evaluation evaluation = evaluate(model, ids, evaluate_options);
  const auto n_vocab = static_cast<std::size_t>(evaluation.n_vocab);
  std::vector<FilledMask> masks;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != mask) continue;
    masks.push_back(candidates(i, std::span(evaluation.logits).subspan(i * n_vocab, n_vocab), options.top));
  }
  return masks;
}

std::vector<TokenId> encode_masked(const Model& model, std::string_view text) {
  require_mask_head(model);
  const std::string_view own = model.tokenizer() == nullptr ? "" : model.tokenizer()->token_text(mask_of(model));
  if (own.empty()) mask_of(model);
  // Only masks are tokens; any other text of control tokens stays text.
  std::vector<TextPiece> pieces;
  while (!text.empty()) {
    std::size_t at = std::string_view::npos, length = 0;
    for (const std::string_view spelling : {own, std::string_view("[MASK]"), std::string_view("<mask>")}) {
      const std::size_t found = text.find(spelling);
      if (found < at) {
        at = found;
        length = spelling.size();
      }
    }
    if (at == std::string_view::npos) break;
    if (at > 0) pieces.push_back({text.substr(0, at), false});
    pieces.push_back({own, true});
    text.remove_prefix(at + length);
  }
  if (!text.empty()) pieces.push_back({text, false});
  return model.tokenizer()->encode_pieces(pieces, true);
}

}  // namespace v1
}  // namespace llm
