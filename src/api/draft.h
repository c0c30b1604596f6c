#ifndef API_DRAFT_H
#define API_DRAFT_H

#include <llm/model.hpp>
#include <llm/session.hpp>

#include "api/guesser.h"
#include "sampling/sampler.h"

namespace llm::api {

// Throws Error(usage) unless both models read the same ids as the same text.
void check_same_vocabulary(const Model& model, const Model& draft);

// A smaller model's own continuation. It draws with the same random numbers at the same positions as the model that
// checks it, so that the two agree as often as their distributions do.
class Draft final : public Guesser {
 public:
  // The session keeps the draft's state between requests; it must outlive this. n_vocab: ids that the checking model
  // has.
  Draft(Session& session, const Model& draft, const SamplingOptions& sampling, std::uint64_t sequence_key,
        std::int64_t n_context, std::int32_t n_vocab, int most);

  void guess(std::span<const TokenId> ids, std::int64_t n, std::vector<TokenId>& out) override;
  void learn(std::int64_t n_guessed, std::int64_t n_right) override { length_.learn(n_guessed, n_right); }

 private:
  Session* session_;
  const Model::Impl* draft_;
  sampling::Sampler sampler_;
  std::uint64_t sequence_key_;
  std::int64_t n_context_;
  std::int32_t n_vocab_;
  GuessLength length_;
  std::vector<float> logits_;
};

}  // namespace llm::api

#endif
