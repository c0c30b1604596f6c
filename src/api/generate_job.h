#ifndef API_GENERATE_JOB_H
#define API_GENERATE_JOB_H

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/guesser.h"
#include "api/job.h"
#include "api/model_impl.h"
#include "sampling/constraint_state.h"
#include "sampling/sampler.h"
#include "sampling/stop_strings.h"
#include "sampling/token_rules.h"

namespace llm::api {

// The sampling loop of one request: logits to tokens to text, until something ends it.
class GenerateJob : public SequenceJob {
 public:
  // Throws Error(usage | context) for what cannot be run. `guessers`: asked in this order; none if guesses cannot be
  // taken back. `constraint`: the start of request.constraint.
  GenerateJob(const Model::Impl& model, Request request, std::int64_t n_context,
              std::vector<std::unique_ptr<Guesser>> guessers, std::optional<sampling::ConstraintState> constraint,
              std::function<void(Result)> done);

  engine::SequenceOptions sequence() override;
  void cancel() override;
  void deliver() override;

  std::int64_t n_parts(const engine::StepOutputs&) override { return 1; }
  void prepare(const engine::StepOutputs& outputs, const std::vector<TokenId>& ids, std::int64_t part) override;
  engine::Advance advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) override;
  void fail(const std::exception_ptr& error) override;
  void began(std::int64_t n_cached) override;

  // For a sequence that goes on: how many ids it has before the answer.
  void continue_from(std::int64_t n_before) { n_before_ = n_before; }
  const std::vector<TokenId>& prompt() const { return request_.prompt; }
  Result take_result() { return std::move(result_); }
  // Whether the request asks for no token at all: then there is nothing to run.
  bool is_empty() const { return request_.max_tokens == 0; }
  void end_empty() { end(FinishReason::length); }

 private:
  bool accept(TokenId id, std::int64_t n_ids, bool completes);
  TokenId choose(std::span<float> logits, std::span<const TokenId> history);
  bool has_forced() const { return n_forced_used_ < forced_.size(); }
  bool is_complete() const { return constraint_ && !has_forced() && constraint_->must_end(); }
  void use_forced(std::vector<TokenId>& ids);
  void add_guesses(std::int64_t n_guessed, std::int64_t n_right, std::vector<TokenId>& ids, engine::Advance& next);
  void give(TokenId id, std::string_view text);
  std::string_view text_of(TokenId id);
  void flush_text();
  void end(FinishReason reason);

  const Model::Impl* model_;
  Request request_;
  std::int64_t n_context_;
  std::function<void(Result)> done_;
  sampling::Sampler sampler_;
  sampling::StopStrings stops_;
  std::optional<IncrementalDecoder> decoder_;
  std::vector<std::unique_ptr<Guesser>> guessers_;
  Guesser* guesser_ = nullptr;  // whose guesses are being checked
  sampling::RuleSet rules_;
  std::optional<sampling::ConstraintState> constraint_;
  std::vector<TokenId> forced_;  // what the constraint leaves no choice about; its state is after them
  std::size_t n_forced_used_ = 0;
  std::int64_t n_before_ = 0;

  Result result_;
  GeneratedToken token_;    // the one at hand
  std::string token_text_;  // its text
  std::vector<TokenId> guesses_;
  // What prepare() chose for the rows of a step, up to the first that no guess continues.
  struct Choice {
    TokenId token = 0;
    bool completes = false;  // nothing can follow it
    float logprob = 0;
    std::vector<TokenLogprob> top = {};
  };
  std::vector<Choice> choices_;
  std::size_t n_choices_ = 0;
  std::exception_ptr choice_error_;  // why there is none for the next row
  std::vector<float> raw_;           // [n_vocab], if log-probabilities are asked for
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_, first_output_;
  bool has_output_ = false;
};

}  // namespace llm::api

#endif
