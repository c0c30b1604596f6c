#ifndef API_ENGINE_IMPL_H
#define API_ENGINE_IMPL_H

#include <atomic>
#include <deque>
#include <llm/engine.hpp>
#include <llm/session.hpp>
#include <memory>
#include <mutex>
#include <vector>

#include "api/generate_job.h"
#include "api/model_impl.h"
#include "api/run_options.h"
#include "engine/engine_core.h"

namespace llm {

namespace api {

// The executor behind the engine's view of a model.
class ModelRunner : public engine::StepRunner {
 public:
  ModelRunner(const model::Model& model, const model::ExecutorOptions& options) : executor_(model, options) {}
  void run(const model::StepPlan& plan) override { executor_.forward(plan); }
  const ops::Profile* profile() const { return executor_.profile(); }

 private:
  model::Executor executor_;
};

}  // namespace api

inline namespace v1 {

struct Engine::Impl {
  Impl(const Model& m, const EngineOptions& options);

  Ticket queue(std::unique_ptr<api::Job> job);
  bool step();
  void take_inbox();
  void deliver_ended();

  const Model::Impl& model_impl() const { return *model.impl(); }
  // The start of a request's constraint over the model's vocabulary.
  std::optional<sampling::ConstraintState> start_of(const std::optional<Constraint>& constraint);
  // The sampling loop of a request. Throws Error(usage | context).
  std::unique_ptr<api::GenerateJob> make_job(Request request, std::function<void(Result)> done);
  // Whether a sequence may go back by a few positions.
  bool can_rewind() const;
  std::vector<std::unique_ptr<api::Guesser>> guessers(const Request& request);

  Model model;
  std::unique_ptr<Session> draft;  // of EngineOptions::draft
  api::RunOptions run;
  api::ModelRunner runner;
  engine::EngineCore core;
  std::vector<std::unique_ptr<api::Job>> active;  // their sequences are in the core

  std::mutex mutex;  // of what follows
  // Requests with one constraint share what was computed for it; the latest few are kept.
  std::deque<std::pair<std::shared_ptr<const Constraint::Impl>, sampling::ConstraintState>> constraints;
  std::vector<std::unique_ptr<api::Job>> inbox;
  std::vector<Ticket> cancelled;
  Ticket last_ticket = 0;
  std::atomic<std::size_t> n_pending = 0;
};

}  // namespace v1
}  // namespace llm

#endif
