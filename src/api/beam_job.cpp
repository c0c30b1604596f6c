#include "api/beam_job.h"

#include <algorithm>
#include <cmath>

#include "api/request_checks.h"
#include "sampling/logprobs.h"

namespace llm::api {

using sampling::BeamSearch;

namespace {

// With a constraint an end token always ends the answer.
std::span<const TokenId> ends_of(const Model::Impl& model, const Request& request) {
  const std::span<const TokenId> ends = model.tokens->end_of_generation();
  if (request.constraint && ends.empty()) {
    throw Error(ErrorCode::usage,
                "beams: found a constraint too, expected a vocabulary with a token that ends answers");
  }
  return request.ignore_eos && !request.constraint ? std::span<const TokenId>() : ends;
}

}  // namespace

BeamJob::BeamJob(const Model::Impl& model, Request request, std::int64_t n_context,
                 std::optional<sampling::ConstraintState> constraint, std::function<void(Result)> done)
    : model_(&model),
      request_(checked(model, std::move(request), n_context)),
      n_context_(n_context),
      max_tokens_(answer_limit(model, request_, n_context)),
      done_(std::move(done)),
      rules_(*request_.rules, *model.tokens, max_tokens_, !request_.ignore_eos),
      search_(request_.beams, ends_of(model, request_), max_tokens_),
      beam_of_{0} {
  if (constraint) constraint_.push_back(std::move(*constraint));
  result_.timings.n_prompt = static_cast<std::int64_t>(request_.prompt.size());
  start_ = Clock::now();
}

void BeamJob::start(engine::EngineCore& core) {
  engine::SequenceOptions options = sequence_of(*model_, request_, n_context_);
  options.held = true;
  n_before_ = static_cast<std::int64_t>(options.ids.size());
  for (int i = 0; i < request_.beams.n; ++i) {
    beams_.push_back(std::make_unique<Beam>(*this));
    // The others begin as copies.
    beams_.back()->id =
        core.add(i == 0 ? options : engine::SequenceOptions{.max_ids = options.max_ids, .held = true}, *beams_.back());
  }
}

void BeamJob::leave(engine::EngineCore& core) {
  for (const std::unique_ptr<Beam>& beam : beams_) core.remove(beam->id);
  beams_.clear();
}

void BeamJob::Beam::began(std::int64_t n_cached) {
  job.result_.timings.n_cached = n_cached;
  job.start_ = Clock::now();
}

engine::Advance BeamJob::Beam::advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) {
  const std::int64_t n_done = outputs.position + outputs.n_rows;
  try {
    job.offer(place, outputs.row(outputs.n_rows - 1), ids);
  } catch (...) {
    job.fail(std::current_exception());
  }
  return {.n_valid = n_done, .outputs_from = n_done, .n_guesses = 0, .done = false};
}

// What may follow one beginning, by the log-probabilities after it.
void BeamJob::offer(std::size_t place, std::span<const float> logits, std::span<const TokenId> ids) {
  if (!has_output_) {
    has_output_ = true;
    first_output_ = Clock::now();
  }
  const sampling::LogProbs logprobs(logits);
  if (!std::isfinite(logprobs.log_sum())) {
    throw Error(ErrorCode::internal, "beams: a logit is not a finite number");
  }
  if (request_.n_logprobs > 0) {
    row_tops_.resize(search_.live().size());
    logprobs.top(static_cast<std::size_t>(request_.n_logprobs), row_tops_[place]);
  }
  const std::int64_t n_generated = static_cast<std::int64_t>(ids.size()) - n_before_;
  const std::shared_ptr<const sampling::TokenMask> possible = constraint_.empty() ? nullptr : constraint_[place].mask();
  const sampling::TokenMask* allowed = possible.get();
  std::optional<TokenId> forced;
  if (!rules_.empty()) {
    forced = rules_.forced(n_generated);
    if (forced && allowed != nullptr && !allowed->test(*forced)) forced.reset();
    if (!forced) allowed = rules_.allowed(ids, n_generated, allowed);
  }
  if (forced) {
    search_.offer_forced(place, *forced, logprobs.of(*forced));
  } else {
    search_.offer(place, logits, logprobs.log_sum(), allowed);
  }
  ++n_offered_;
}

void BeamJob::after_step(engine::EngineCore& core) {
  if (n_offered_ < search_.live().size()) return;
  n_offered_ = 0;
  const bool goes_on = search_.advance();
  keep_tops();
  if (goes_on) {
    try {
      follow_constraint();
    } catch (...) {
      fail(std::current_exception());
      return;
    }
    go_on(core);
  } else {
    finish(FinishReason::length);
  }
}

void BeamJob::keep_tops() {
  if (request_.n_logprobs == 0) return;
  for (std::size_t i = tops_.size(); i < search_.nodes().size(); ++i) {
    tops_.push_back(row_tops_[static_cast<std::size_t>(search_.nodes()[i].beam)]);
  }
}

// Every live beginning stands where its parent stood, one token further.
void BeamJob::follow_constraint() {
  if (constraint_.empty()) return;
  std::vector<sampling::ConstraintState> next;
  for (const BeamSearch::Live& live : search_.live()) {
    next.push_back(constraint_[static_cast<std::size_t>(live.parent)]);
    next.back().advance(live.token);
  }
  constraint_ = std::move(next);
}

// The first that goes on from a beginning keeps its sequence, the others copy it into sequences whose beginning was
// dropped.
void BeamJob::go_on(engine::EngineCore& core) {
  const std::span<const BeamSearch::Live> live = search_.live();
  std::vector<bool> used(beams_.size(), false);
  std::vector<std::size_t> next(live.size(), beams_.size());
  for (std::size_t i = 0; i < live.size(); ++i) {
    const std::size_t parent = beam_of_[static_cast<std::size_t>(live[i].parent)];
    if (used[parent]) continue;
    next[i] = parent;
    used[parent] = true;
  }
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (next[i] < beams_.size()) continue;
    next[i] = static_cast<std::size_t>(std::find(used.begin(), used.end(), false) - used.begin());
    used[next[i]] = true;
    core.copy(beams_[beam_of_[static_cast<std::size_t>(live[i].parent)]]->id, beams_[next[i]]->id);
  }
  beam_of_ = std::move(next);
  for (std::size_t i = 0; i < live.size(); ++i) {
    beams_[beam_of_[i]]->place = i;
    core.extend(beams_[beam_of_[i]]->id, live[i].token);
  }
}

BeamAnswer BeamJob::answer_of(const BeamSearch::Answer& found, FinishReason reason_of_cut) const {
  BeamAnswer answer{.score = found.score, .reason = found.ended ? FinishReason::stop : reason_of_cut};
  for (const int node : search_.path(found.node)) {
    answer.ids.push_back(search_.nodes()[static_cast<std::size_t>(node)].token);
  }
  if (found.ended) answer.ids.pop_back();
  if (!model_->tokenizer) return answer;
  std::vector<TokenId> known = answer.ids;
  std::erase_if(known, [&](TokenId id) { return id >= model_->tokenizer->n_vocab(); });
  answer.text = model_->tokenizer->decode(known, request_.special);
  return answer;
}

// The answer token by token, as a caller of any request expects it.
void BeamJob::tell(const BeamSearch::Answer& best) {
  std::optional<IncrementalDecoder> decoder;
  if (model_->tokenizer) decoder.emplace(*model_->tokenizer, request_.special);
  std::vector<int> path = search_.path(best.node);
  if (best.ended) path.pop_back();
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto node = static_cast<std::size_t>(path[i]);
    GeneratedToken token{.id = search_.nodes()[node].token};
    if (request_.n_logprobs > 0) {
      token.logprob = search_.nodes()[node].logprob;
      token.top = tops_[node];
      result_.tokens.push_back(token);
    }
    if (!request_.on_token) continue;
    std::string text;
    if (decoder && token.id < model_->tokenizer->n_vocab()) text = decoder->push(token.id);
    if (decoder && i + 1 == path.size()) text += decoder->finish();
    token.text = text;
    if (!request_.on_token(token)) return;
  }
}

void BeamJob::finish(FinishReason reason_of_cut) {
  if (reason_of_cut == FinishReason::length && (request_.max_tokens < 0 || max_tokens_ < request_.max_tokens)) {
    reason_of_cut = FinishReason::context;
  }
  if (search_.answers().empty()) {
    end(reason_of_cut);
    return;
  }
  for (const BeamSearch::Answer& found : search_.answers()) result_.beams.push_back(answer_of(found, reason_of_cut));
  const BeamSearch::Answer& best = search_.answers().front();
  result_.ids = result_.beams.front().ids;
  result_.text = result_.beams.front().text;
  if (best.ended && model_->tokenizer) {
    const TokenId last = search_.nodes()[static_cast<std::size_t>(best.node)].token;
    if (last < model_->tokenizer->n_vocab()) result_.stop_text = model_->tokenizer->token_text(last);
  }
  end(result_.beams.front().reason);
  tell(best);
}

void BeamJob::end(FinishReason reason) {
  if (ended_) return;
  ended_ = true;
  result_.reason = reason;
  const Clock::time_point now = Clock::now();
  if (!has_output_) first_output_ = now;
  result_.timings.prompt_seconds = std::chrono::duration<double>(first_output_ - start_).count();
  result_.timings.generate_seconds = std::chrono::duration<double>(now - first_output_).count();
  result_.timings.n_generated = static_cast<std::int64_t>(result_.ids.size());
}

void BeamJob::fail(const std::exception_ptr& error) {
  if (!ended_) {
    const Error found = error_of(error);
    result_.error = found.message();
    result_.error_code = found.code();
  }
  end(FinishReason::error);
}

// What was found so far is told.
void BeamJob::cancel() {
  search_.cut();
  finish(FinishReason::cancelled);
  result_.reason = FinishReason::cancelled;
}

void BeamJob::deliver() {
  if (done_) done_(std::move(result_));
}

}  // namespace llm::api
