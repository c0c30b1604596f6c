#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <llm/engine.hpp>
#include <optional>

#include "api/available_memory.h"
#include "api/beam_job.h"
#include "api/draft.h"
#include "api/engine_impl.h"
#include "api/lookup.h"
#include "api/read_jobs.h"
#include "api/state_identity.h"
#include "engine/saved_state.h"

namespace llm {
inline namespace v1 {

namespace {

api::RunOptions resolve_here(const Model::Impl& model, const EngineOptions& options, std::uint64_t taken) {
  const std::uint64_t available = api::available_memory() + model.held_bytes;
  api::RunOptions run = api::resolve(*model.model, options, available - std::min(available, taken));
  api::require_memory(run.memory, model.info.name);
  return run;
}

// A session for the draft model, which keeps to the context it was trained for.
std::unique_ptr<Session> draft_session(const Model& model, const EngineOptions& options) {
  if (!options.draft) return nullptr;
  api::check_same_vocabulary(model, *options.draft);
  if (options.max_sequences != 1) {
    throw Error(ErrorCode::usage,
                fmt::format("draft model: {} sequences in one step, expected 1", options.max_sequences));
  }
  EngineOptions own;
  own.n_threads = options.n_threads;
  own.n_context = options.n_context;
  if (const std::int64_t trained = options.draft->info().n_context_train; trained > 0) {
    own.n_context = own.n_context == 0 ? trained : std::min(own.n_context, trained);
  }
  own.kv_type = options.kv_type;
  return std::make_unique<Session>(*options.draft, own);
}

}  // namespace

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::context:
      return "context";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      break;
  }
  return "error";
}

Engine::Impl::Impl(const Model& m, const EngineOptions& options)
    : model(m),
      draft(draft_session(m, options)),
      run(resolve_here(*m.impl(), options, draft ? draft->memory().total : 0)),
      runner(*m.impl()->model, run.executor),
      core(runner, run.core) {}

std::vector<std::unique_ptr<api::Guesser>> Engine::Impl::guessers(const Request& request) {
  std::vector<std::unique_ptr<api::Guesser>> guessers;
  if (request.draft > 0 && !draft) {
    throw Error(ErrorCode::usage, "draft: the engine has no draft model, expected EngineOptions::draft");
  }
  if (!can_rewind()) return guessers;
  if (request.lookup > 0) guessers.push_back(std::make_unique<api::Lookup>(request.lookup));
  if (request.draft > 0) {
    guessers.push_back(std::make_unique<api::Draft>(*draft, *run.engine.draft, request.sampling, request.sequence_key,
                                                    draft->n_context(), model_impl().model->spec().n_vocab,
                                                    request.draft));
  }
  return guessers;
}

bool Engine::Impl::can_rewind() const {
  return std::none_of(run.core.groups.begin(), run.core.groups.end(),
                      [](const model::StateGroup& group) { return group.kind == model::StateKind::per_sequence; });
}

std::optional<sampling::ConstraintState> Engine::Impl::start_of(const std::optional<Constraint>& constraint) {
  if (!constraint) return std::nullopt;
  if (!model_impl().tokenizer) {
    throw Error(ErrorCode::usage, "constraint: this model has no vocabulary, expected one with text");
  }
  constexpr std::size_t n_kept = 4;
  const std::lock_guard lock(mutex);
  const auto known = std::find_if(constraints.begin(), constraints.end(),
                                  [&](const auto& entry) { return entry.first == constraint->impl(); });
  if (known != constraints.end()) return known->second;
  sampling::ConstraintState start(*constraint, model_impl().vocabulary());
  constraints.emplace_front(constraint->impl(), start);
  if (constraints.size() > n_kept) constraints.pop_back();
  return start;
}

std::unique_ptr<api::GenerateJob> Engine::Impl::make_job(Request request, std::function<void(Result)> done) {
  std::optional<sampling::ConstraintState> start = start_of(request.constraint);
  std::vector<std::unique_ptr<api::Guesser>> guessing = guessers(request);
  return std::make_unique<api::GenerateJob>(model_impl(), std::move(request), run.engine.n_context, std::move(guessing),
                                            std::move(start), std::move(done));
}

Engine::Ticket Engine::Impl::queue(std::unique_ptr<api::Job> job) {
  const std::lock_guard lock(mutex);
  job->ticket = ++last_ticket;
  inbox.push_back(std::move(job));
  ++n_pending;
  return last_ticket;
}

// New jobs become sequences; cancelled ones end.
void Engine::Impl::take_inbox() {
  std::vector<std::unique_ptr<api::Job>> jobs;
  std::vector<Ticket> tickets;
  {
    const std::lock_guard lock(mutex);
    if (inbox.empty() && cancelled.empty()) return;
    jobs.swap(inbox);
    tickets.swap(cancelled);
  }
  for (std::unique_ptr<api::Job>& job : jobs) {
    if (!job->ended()) {
      try {
        job->start(core);
      } catch (...) {
        job->fail(std::current_exception());
      }
    }
    active.push_back(std::move(job));
  }
  for (const Ticket ticket : tickets) {
    for (const std::unique_ptr<api::Job>& job : active) {
      if (job->ticket != ticket || job->ended()) continue;
      job->leave(core);
      job->cancel();
    }
  }
}

void Engine::Impl::deliver_ended() {
  for (std::size_t i = 0; i < active.size();) {
    if (!active[i]->ended()) {
      ++i;
      continue;
    }
    const std::unique_ptr<api::Job> job = std::move(active[i]);
    active.erase(active.begin() + static_cast<std::ptrdiff_t>(i));
    --n_pending;
    job->leave(core);
    job->deliver();
  }
}

bool Engine::Impl::step() {
  take_inbox();
  const bool had_work = !active.empty();
  core.step();
  for (const std::unique_ptr<api::Job>& job : active) {
    if (!job->ended()) job->after_step(core);
  }
  deliver_ended();
  return had_work;
}

Engine::Engine(const Model& model, const EngineOptions& options) : impl_(std::make_unique<Impl>(model, options)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine::Ticket Engine::submit(Request request, std::function<void(Result)> done) {
  if (request.prompt.empty()) throw Error(ErrorCode::usage, "prompt: found no token, expected at least one");
  if (request.beams.n > 1 && request.max_tokens != 0) {
    std::optional<sampling::ConstraintState> start = impl_->start_of(request.constraint);
    return impl_->queue(std::make_unique<api::BeamJob>(impl_->model_impl(), std::move(request),
                                                       impl_->run.engine.n_context, std::move(start), std::move(done)));
  }
  auto job = impl_->make_job(std::move(request), std::move(done));
  if (job->is_empty()) job->end_empty();
  return impl_->queue(std::move(job));
}

Engine::Ticket Engine::submit_score(std::vector<TokenId> prompt, std::vector<TokenId> completion,
                                    std::function<void(ScoreResult)> done) {
  auto job = std::make_unique<api::ScoreJob>(impl_->model_impl(), std::move(prompt), std::move(completion),
                                             impl_->run.engine.n_context, std::move(done));
  if (job->is_empty()) job->end_empty();
  return impl_->queue(std::move(job));
}

Engine::Ticket Engine::submit_embed(std::vector<TokenId> ids, const EmbedOptions& options,
                                    std::function<void(EmbedResult)> done) {
  return impl_->queue(std::make_unique<api::EmbedJob>(impl_->model_impl(), std::move(ids), options,
                                                      impl_->run.engine.n_context, std::move(done)));
}

void Engine::cancel(Ticket ticket) {
  const std::lock_guard lock(impl_->mutex);
  impl_->cancelled.push_back(ticket);
}

bool Engine::step() {
  return impl_->step();
}
std::size_t Engine::n_pending() const {
  return impl_->n_pending;
}

Result Engine::generate(Request request) {
  std::optional<Result> result;
  submit(std::move(request), [&](Result r) { result = std::move(r); });
  while (!result) step();
  return std::move(*result);
}

ScoreResult Engine::score(const std::vector<TokenId>& prompt, const std::vector<TokenId>& completion) {
  std::optional<ScoreResult> result;
  submit_score(prompt, completion, [&](ScoreResult r) { result = std::move(r); });
  while (!result) step();
  return std::move(*result);
}

EmbedResult Engine::embed(const std::vector<TokenId>& ids, const EmbedOptions& options) {
  std::optional<EmbedResult> result;
  submit_embed(ids, options, [&](EmbedResult r) { result = std::move(r); });
  while (!result) step();
  return std::move(*result);
}

std::int64_t Engine::save_state(const std::string& path, const std::vector<TokenId>& prompt) {
  return impl_->core.save(path, api::state_identity(impl_->model_impl(), impl_->run), prompt);
}

StateFile Engine::load_state(const std::string& path) {
  StateFile result;
  impl_->core.keep_prompt_ends();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return result;
  try {
    result.may_replace = engine::is_saved_state(path);
    result.ids = impl_->core.load(path, api::state_identity(impl_->model_impl(), impl_->run));
  } catch (const Error& error) {
    result.problem = error.message();
  }
  return result;
}

const EngineOptions& Engine::options() const {
  return impl_->run.engine;
}
EngineCounters Engine::counters() const {
  const engine::EngineCore::Counters& c = impl_->core.counters();
  return {.n_steps = c.n_steps, .n_rows = c.n_rows, .n_preempted = c.n_preempted};
}
MemoryPlan Engine::memory() const {
  return impl_->run.memory;
}

}  // namespace v1
}  // namespace llm
