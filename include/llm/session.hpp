#ifndef LLM_SESSION_HPP
#define LLM_SESSION_HPP

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <llm/engine.hpp>

namespace llm {
inline namespace v1 {

/// One sequence driven by hand. It is an Engine with one sequence. One thread at a time; several sessions on one model
/// may run in different threads.
class LLM_API Session {
 public:
  explicit Session(const Model& model, const EngineOptions& options = {});
  Session(Session&&) noexcept;
  ~Session();

  /// Appends ids and evaluates them. Throws Error(usage) for an id outside the vocabulary, Error(context) when full.
  void eval(std::span<const TokenId> ids);
  /// Logits after the last id, [n_vocab]; valid until the next call. Throws Error(usage) before the first eval.
  std::span<const float> logits() const;
  /// Evaluates ids and gives the logits at each of them, [ids.size(), n_vocab].
  std::vector<float> eval_all(std::span<const TokenId> ids);

  const std::vector<TokenId>& ids() const;
  std::int64_t n_context() const;  ///< most tokens it can have
  MemoryPlan memory() const;
  /// Forgets all but the first n ids.
  void truncate(std::size_t n);
  /// Chooses a token from logits(); does not append it.
  TokenId sample(const SamplingOptions& options) const;
  /// Appends request.prompt and generates; the session keeps prompt and answer.
  Result generate(Request request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace llm

#endif
