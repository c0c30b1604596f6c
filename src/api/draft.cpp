#include "api/draft.h"

#include <fmt/format.h>

#include "api/model_impl.h"

namespace llm::api {
namespace {

SamplingOptions without_memory(SamplingOptions options) {
  // Samplers that learn from what was chosen would learn from wrong guesses.
  options.mirostat = 0;
  options.adaptive_target = -1;
  return options;
}

}  // namespace

void check_same_vocabulary(const Model& model, const Model& draft) {
  const Tokenizer *a = model.tokenizer(), *b = draft.tokenizer();
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::usage, fmt::format("draft model {}: {}, expected the vocabulary of {}", draft.info().name,
                                              what, model.info().name));
  };
  const int n_model = model.impl()->model->spec().n_vocab, n_draft = draft.impl()->model->spec().n_vocab;
  if (a == nullptr && b == nullptr && n_model == n_draft) return;
  if (a == nullptr || b == nullptr) fail("one of the models has no vocabulary");
  if (a->n_vocab() != b->n_vocab()) fail(fmt::format("found {} tokens instead of {}", b->n_vocab(), a->n_vocab()));
  for (TokenId id = 0; id < a->n_vocab(); ++id) {
    if (a->token_text(id) == b->token_text(id) && a->token_kind(id) == b->token_kind(id)) continue;
    fail(fmt::format("token {} is another one", id));
  }
}

Draft::Draft(Session& session, const Model& draft, const SamplingOptions& sampling, std::uint64_t sequence_key,
             std::int64_t n_context, std::int32_t n_vocab, int most)
    : session_(&session),
      draft_(draft.impl().get()),
      sampler_(without_memory(sampling), *draft_->tokens),
      sequence_key_(sequence_key),
      n_context_(n_context),
      n_vocab_(n_vocab),
      length_(most) {}

void Draft::guess(std::span<const TokenId> ids, std::int64_t n, std::vector<TokenId>& out) {
  n = std::min({n, length_.next(), n_context_ - static_cast<std::int64_t>(ids.size())});
  if (n <= 0) return;
  const std::vector<TokenId>& known = session_->ids();
  const auto [mine, theirs] = std::mismatch(known.begin(), known.end(), ids.begin(), ids.end());
  const auto n_same = static_cast<std::size_t>(mine - known.begin());
  session_->truncate(n_same);
  session_->eval(ids.subspan(n_same));
  std::vector<TokenId> history(ids.begin(), ids.end());
  for (std::int64_t i = 0; i < n; ++i) {
    const std::span<const float> logits = session_->logits();
    logits_.assign(logits.begin(), logits.end());
    const TokenId token = sampler_.sample(logits_, history, sequence_key_, static_cast<std::int64_t>(history.size()));
    if (token >= n_vocab_ || draft_->tokens->is_end_of_generation(token)) return;
    out.push_back(token);
    history.push_back(token);
    if (i + 1 < n) session_->eval({&token, 1});
  }
}

}  // namespace llm::api
