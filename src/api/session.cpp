#include <fmt/format.h>

#include <algorithm>
#include <llm/session.hpp>
#include <vector>

#include "api/engine_impl.h"
#include "sampling/sampler.h"

namespace llm {
inline namespace v1 {

namespace {

// Collects the rows of logits that a step gives.
class RowsClient : public engine::SequenceClient {
 public:
  engine::Advance advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) override {
    rows.insert(rows.end(), outputs.data, outputs.data + outputs.n_rows * outputs.width);
    n_rows += outputs.n_rows;
    const std::int64_t n_done = outputs.position + outputs.n_rows;
    return {.n_valid = n_done,
            .outputs_from = n_done,
            .n_guesses = 0,
            .done = n_done == static_cast<std::int64_t>(ids.size())};
  }
  void fail(const std::exception_ptr& e) override { error = e; }
  void began(std::int64_t) override {}

  std::vector<float> rows;
  std::int64_t n_rows = 0;
  std::exception_ptr error;
};

}  // namespace

struct Session::Impl {
  Impl(const Model& model, const EngineOptions& options) : engine(model, one_sequence(options)) {
    const model::ModelSpec& spec = engine_impl().model_impl().model->spec();
    if (spec.kind != model::ModelKind::decoder || !spec.head.exists) {
      throw Error(ErrorCode::usage, "session: expected a decoder, a model that continues a text");
    }
    id = core().add({.max_ids = engine.options().n_context, .held = true}, client);
  }

  static EngineOptions one_sequence(EngineOptions options) {
    options.max_sequences = 1;
    options.share_prefixes = false;
    return options;
  }

  Engine::Impl& engine_impl() { return engine.impl(); }
  engine::EngineCore& core() { return engine.impl().core; }
  std::int64_t size() { return static_cast<std::int64_t>(core().ids(id).size()); }

  void check(std::span<const TokenId> ids) {
    const std::int64_t n_vocab = engine.impl().run.core.n_vocab;
    for (const TokenId token : ids) {
      if (token >= 0 && token < n_vocab) continue;
      throw Error(ErrorCode::usage, fmt::format("token id {}: expected 0 to {}", token, n_vocab - 1));
    }
    const std::int64_t n = size() + static_cast<std::int64_t>(ids.size()), n_context = engine.options().n_context;
    if (n > n_context) {
      throw Error(ErrorCode::context, fmt::format("{} tokens, expected at most {} (the context)", n, n_context));
    }
  }

  // Appends ids and gives the logits from position `outputs_from` on. If that fails the ids are as they were.
  std::vector<float> run(std::span<const TokenId> ids, std::int64_t outputs_from) {
    const std::int64_t n_before = size();
    client = RowsClient();
    core().append(id, ids, outputs_from, client);
    const std::int64_t n_wanted = size() - outputs_from;
    client.rows.reserve(static_cast<std::size_t>(n_wanted * engine.impl().run.core.n_vocab));
    while (client.n_rows < n_wanted && !client.error) core().step();
    if (client.error) {
      core().truncate(id, n_before);
      std::rethrow_exception(client.error);
    }
    return std::move(client.rows);
  }

  // Makes logits those after the last id, whatever happened to the sequence since.
  void need_logits() {
    if (!logits.empty()) return;
    const std::int64_t n = size();
    if (n == 0) throw Error(ErrorCode::usage, "logits: nothing was evaluated, expected eval() before");
    const TokenId last = core().ids(id).back();
    core().truncate(id, n - 1);
    logits = run({&last, 1}, n - 1);
  }

  Engine engine;
  RowsClient client;
  engine::EngineCore::Id id = 0;
  std::vector<float> logits;  // after the last id; empty: not computed
};

Session::Session(const Model& model, const EngineOptions& options) : impl_(std::make_unique<Impl>(model, options)) {}
Session::Session(Session&&) noexcept = default;
Session::~Session() = default;

void Session::eval(std::span<const TokenId> ids) {
  if (ids.empty()) return;
  impl_->check(ids);
  const std::int64_t n = impl_->size() + static_cast<std::int64_t>(ids.size());
  std::vector<float> logits = impl_->run(ids, n - 1);
  impl_->logits = std::move(logits);
}

std::span<const float> Session::logits() const {
  impl_->need_logits();
  return impl_->logits;
}

std::vector<float> Session::eval_all(std::span<const TokenId> ids) {
  if (ids.empty()) return {};
  impl_->check(ids);
  std::vector<float> rows = impl_->run(ids, impl_->size());
  const auto n_vocab = static_cast<std::ptrdiff_t>(impl_->engine.impl().run.core.n_vocab);
  impl_->logits.assign(rows.end() - n_vocab, rows.end());
  return rows;
}

const std::vector<TokenId>& Session::ids() const {
  return impl_->core().ids(impl_->id);
}

std::int64_t Session::n_context() const {
  return impl_->engine.options().n_context;
}

MemoryPlan Session::memory() const {
  return impl_->engine.memory();
}

void Session::truncate(std::size_t n) {
  if (n >= ids().size()) return;
  impl_->logits.clear();
  impl_->core().truncate(impl_->id, static_cast<std::int64_t>(n));
}

TokenId Session::sample(const SamplingOptions& options) const {
  impl_->need_logits();
  std::vector<float> logits = impl_->logits;
  sampling::Sampler sampler(options, *impl_->engine.impl().model_impl().tokens);
  return sampler.sample(logits, ids(), 0, impl_->size());
}

Result Session::generate(Request request) {
  Impl& s = *impl_;
  const std::vector<TokenId> prompt = request.prompt;
  s.check(prompt);
  const std::int64_t n_before = s.size() + static_cast<std::int64_t>(prompt.size());
  const std::unique_ptr<api::GenerateJob> owner = s.engine.impl().make_job(std::move(request), {});
  api::GenerateJob& job = *owner;
  if (n_before == 0)
    throw Error(ErrorCode::usage, "prompt: found no token, expected one in the session or the request");
  if (n_before >= s.engine.options().n_context && !job.is_empty()) {
    throw Error(ErrorCode::context,
                fmt::format("{} tokens, expected fewer than {} (the context)", n_before, s.engine.options().n_context));
  }
  s.logits.clear();
  if (job.is_empty()) {
    s.core().append(s.id, prompt, n_before, s.client);
    job.end_empty();
    return job.take_result();
  }
  job.continue_from(n_before);
  if (prompt.empty()) {
    const TokenId last = ids().back();
    s.core().truncate(s.id, n_before - 1);
    s.core().append(s.id, {&last, 1}, n_before - 1, job);
  } else {
    s.core().append(s.id, prompt, n_before - 1, job);
  }
  while (!job.ended()) s.core().step();
  // The job goes away: rows that are still to be evaluated belong to the session.
  s.client = RowsClient();
  s.core().append(s.id, {}, s.size(), s.client);
  return job.take_result();
}

}  // namespace v1
}  // namespace llm
