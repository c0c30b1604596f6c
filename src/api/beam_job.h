#ifndef API_BEAM_JOB_H
#define API_BEAM_JOB_H

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "api/job.h"
#include "api/model_impl.h"
#include "sampling/beam_search.h"
#include "sampling/constraint_state.h"
#include "sampling/token_rules.h"

namespace llm::api {

// A request answered by beam search: one held sequence a beam. When all have seen their results, the search chooses
// which beginnings go on, and sequences become copies of those that branch.
class BeamJob : public Job {
 public:
  // Throws Error(usage | context) for what cannot be run.
  // constraint: the start of the request's, if it has one.
  BeamJob(const Model::Impl& model, Request request, std::int64_t n_context,
          std::optional<sampling::ConstraintState> constraint, std::function<void(Result)> done);

  void start(engine::EngineCore& core) override;
  void after_step(engine::EngineCore& core) override;
  void leave(engine::EngineCore& core) override;
  void fail(const std::exception_ptr& error) override;
  void cancel() override;
  void deliver() override;

 private:
  // The client of one sequence.
  struct Beam : engine::SequenceClient {
    explicit Beam(BeamJob& owner) : job(owner) {}
    engine::Advance advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) override;
    void fail(const std::exception_ptr& error) override { job.fail(error); }
    void began(std::int64_t n_cached) override;

    BeamJob& job;
    engine::EngineCore::Id id = 0;
    std::size_t place = 0;  // in BeamSearch::live()
  };

  void offer(std::size_t place, std::span<const float> logits, std::span<const TokenId> ids);
  void keep_tops();
  void follow_constraint();
  void go_on(engine::EngineCore& core);
  void finish(FinishReason reason_of_cut);
  BeamAnswer answer_of(const sampling::BeamSearch::Answer& found, FinishReason reason_of_cut) const;
  void tell(const sampling::BeamSearch::Answer& best);
  void end(FinishReason reason);

  const Model::Impl* model_;
  Request request_;
  std::int64_t n_context_, max_tokens_;
  std::int64_t n_before_ = 0;  // ids of a sequence before the answer
  std::function<void(Result)> done_;
  sampling::RuleSet rules_;
  sampling::BeamSearch search_;
  std::vector<sampling::ConstraintState> constraint_;  // [live beginnings] if there is a constraint
  std::vector<std::unique_ptr<Beam>> beams_;
  std::vector<std::size_t> beam_of_;  // [live beginnings] which sequence holds it
  std::size_t n_offered_ = 0;
  std::vector<std::vector<TokenLogprob>> row_tops_;  // [live beginnings], if log-probabilities are asked for
  std::vector<std::vector<TokenLogprob>> tops_;      // [nodes of the search]

  Result result_;
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_, first_output_;
  bool has_output_ = false;
};

}  // namespace llm::api

#endif
