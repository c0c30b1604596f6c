#include "api/generate_job.h"

#include <algorithm>

#include "api/request_checks.h"
#include "sampling/logprobs.h"

namespace llm::api {
namespace {

// Bytes of a text without an unfinished character at its end.
std::size_t whole_characters(std::string_view text) {
  for (std::size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    const auto byte = static_cast<unsigned char>(text[text.size() - n]);
    if ((byte & 0xc0) == 0x80) continue;
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > n ? text.size() - n : text.size();
  }
  return text.size();
}

}  // namespace

GenerateJob::GenerateJob(const Model::Impl& model, Request request, std::int64_t n_context,
                         std::vector<std::unique_ptr<Guesser>> guessers,
                         std::optional<sampling::ConstraintState> constraint, std::function<void(Result)> done)
    : model_(&model),
      request_(checked(model, std::move(request), n_context)),
      n_context_(n_context),
      done_(std::move(done)),
      sampler_(request_.sampling, *model.tokens),
      stops_(request_.stop),
      guessers_(std::move(guessers)),
      rules_(*request_.rules, *model.tokens, answer_limit(model, request_, n_context), !request_.ignore_eos),
      constraint_(std::move(constraint)) {
  if (model.tokenizer) decoder_.emplace(*model.tokenizer, request_.special);
  result_.timings.n_prompt = static_cast<std::int64_t>(request_.prompt.size());
  start_ = Clock::now();
}

engine::SequenceOptions GenerateJob::sequence() {
  engine::SequenceOptions options = sequence_of(*model_, request_, n_context_);
  const auto n_ids = static_cast<std::int64_t>(options.ids.size());
  n_before_ = n_ids;
  result_.ids.reserve(static_cast<std::size_t>(std::max<std::int64_t>(options.max_ids - n_ids, 0)));
  return options;
}

void GenerateJob::began(std::int64_t n_cached) {
  result_.timings.n_cached = n_cached;
  start_ = Clock::now();
}

std::string_view GenerateJob::text_of(TokenId id) {
  if (!decoder_ || id >= model_->tokenizer->n_vocab()) return {};
  return decoder_->push(id);
}

// What decoder and stop strings still hold back becomes text of the token at hand.
void GenerateJob::flush_text() {
  if (stops_.found()) return;
  if (decoder_) {
    const std::string_view rest = decoder_->finish();
    token_text_ += stops_.push(rest.substr(0, whole_characters(rest)));
  }
  if (!stops_.found()) token_text_ += stops_.finish();
}

void GenerateJob::end(FinishReason reason) {
  if (ended_) return;
  result_.reason = reason;
  ended_ = true;
  const Clock::time_point now = Clock::now();
  if (!has_output_) first_output_ = now;
  result_.timings.prompt_seconds = std::chrono::duration<double>(first_output_ - start_).count();
  result_.timings.generate_seconds = std::chrono::duration<double>(now - first_output_).count();
  result_.timings.n_generated = static_cast<std::int64_t>(result_.ids.size());
}

void GenerateJob::give(TokenId id, std::string_view text) {
  result_.text += text;
  if (!request_.on_token) return;
  token_.id = id;
  token_.text = text;
  if (!request_.on_token(token_)) end(FinishReason::cancelled);
}

// Takes a token into the answer; n_ids: ids of the sequence with it; `completes`: the constraint lets nothing follow.
// False: the answer has ended.
bool GenerateJob::accept(TokenId id, std::int64_t n_ids, bool completes) {
  token_text_.clear();
  const bool ends = !request_.ignore_eos || constraint_.has_value();
  if (ends && model_->tokens->is_end_of_generation(id)) {
    flush_text();
    if (stops_.found()) {
      result_.stop_text = *stops_.found();
    } else if (model_->tokenizer) {
      result_.stop_text = model_->tokenizer->token_text(id);
    }
    if (!token_text_.empty()) give(id, token_text_);
    end(FinishReason::stop);
    return false;
  }
  result_.ids.push_back(id);
  if (request_.n_logprobs > 0) {
    result_.tokens.push_back(token_);
    result_.tokens.back().id = id;
    result_.tokens.back().text = {};
  }
  token_text_ += stops_.push(text_of(id));
  const bool is_last = request_.max_tokens >= 0 && static_cast<std::int64_t>(result_.ids.size()) >= request_.max_tokens;
  const bool is_full = n_ids >= n_context_;
  if (is_last || is_full) flush_text();
  give(id, token_text_);
  if (stops_.found()) {
    result_.stop_text = *stops_.found();
    end(FinishReason::stop);
  }
  if (completes) {
    token_text_.clear();
    flush_text();
    if (!ended_ && !token_text_.empty()) give(id, token_text_);
    end(FinishReason::stop);
  }
  if (is_last) end(FinishReason::length);
  if (is_full) end(FinishReason::context);
  return !ended_;
}

// The token after the history: one that the constraint forces, or a sampled one.
TokenId GenerateJob::choose(std::span<float> logits, std::span<const TokenId> history) {
  if (has_forced()) return forced_[n_forced_used_++];
  const auto position = static_cast<std::int64_t>(history.size());
  const std::shared_ptr<const sampling::TokenMask> possible = constraint_ ? constraint_->mask() : nullptr;
  const sampling::TokenMask* allowed = possible.get();
  std::optional<TokenId> ruled;
  if (!rules_.empty()) {
    const std::int64_t n_generated = position - n_before_;
    ruled = rules_.forced(n_generated);
    if (ruled && allowed != nullptr && !allowed->test(*ruled)) ruled.reset();
    if (!ruled) allowed = rules_.allowed(history, n_generated, allowed);
  }
  const TokenId token = ruled ? *ruled : sampler_.sample(logits, history, request_.sequence_key, position, allowed);
  if (!constraint_) return token;
  if (model_->tokens->is_end_of_generation(token)) return token;
  constraint_->advance(token);
  forced_ = constraint_->forced_tokens();
  n_forced_used_ = 0;
  for (const TokenId next : forced_) constraint_->advance(next);
  return token;
}

// Forced tokens join the answer at once; where log-probabilities are wanted they wait for their logits.
void GenerateJob::use_forced(std::vector<TokenId>& ids) {
  if (request_.n_logprobs > 0) {
    for (std::size_t i = n_forced_used_; i < forced_.size() && static_cast<std::int64_t>(ids.size()) < n_context_;
         ++i) {
      ids.push_back(forced_[i]);
    }
    return;
  }
  while (has_forced() && !ended_) {
    ids.push_back(forced_[n_forced_used_++]);
    accept(ids.back(), static_cast<std::int64_t>(ids.size()), is_complete());
  }
}

void GenerateJob::prepare(const engine::StepOutputs& outputs, const std::vector<TokenId>& ids, std::int64_t) {
  n_choices_ = 0;
  choice_error_ = nullptr;
  try {
    for (std::int64_t i = 0; i < outputs.n_rows; ++i) {
      const auto position = static_cast<std::size_t>(outputs.position + i + 1);  // of the token to choose
      const std::span<float> logits = outputs.row(i);
      if (choices_.size() <= n_choices_) choices_.emplace_back();
      Choice& choice = choices_[n_choices_];
      // Sampling changes the logits, so what is told about them comes from a copy.
      std::optional<sampling::LogProbs> logprobs;
      if (request_.n_logprobs > 0) {
        raw_.assign(logits.begin(), logits.end());
        logprobs.emplace(raw_);
        logprobs->top(static_cast<std::size_t>(request_.n_logprobs), choice.top);
      }
      choice.token = choose(logits, std::span(ids).first(position));
      choice.completes = is_complete();
      if (logprobs) choice.logprob = logprobs->of(choice.token);
      ++n_choices_;
      if (position >= ids.size() || ids[position] != choice.token) break;
    }
  } catch (...) {
    choice_error_ = std::current_exception();
  }
}

engine::Advance GenerateJob::advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) {
  if (!has_output_) {
    has_output_ = true;
    first_output_ = Clock::now();
  }
  std::int64_t n_valid = outputs.position + outputs.n_rows;
  std::int64_t n_right = 0;
  try {
    std::int64_t n_known = 0;  // ids that are certain
    for (std::int64_t i = 0; i < outputs.n_rows; ++i) {
      const std::int64_t position = outputs.position + i + 1;  // of the token to choose
      if (static_cast<std::size_t>(i) >= n_choices_) std::rethrow_exception(choice_error_);
      Choice& choice = choices_[static_cast<std::size_t>(i)];
      const TokenId token = choice.token;
      if (request_.n_logprobs > 0) {
        token_.logprob = choice.logprob;
        token_.top.swap(choice.top);
      }
      const auto at = static_cast<std::size_t>(position);
      const bool is_guessed = at < ids.size() && ids[at] == token;
      n_right += is_guessed ? 1 : 0;
      const std::size_t n_before = result_.ids.size();
      const bool goes_on = accept(token, position + 1, choice.completes);
      const bool is_part = result_.ids.size() > n_before;  // an end token is not
      n_known = position + (is_part ? 1 : 0);
      if (goes_on && is_guessed) continue;
      ids.resize(at);
      if (is_part) ids.push_back(token);
      n_valid = position + (is_guessed && is_part ? 1 : 0);
      break;
    }
    ids.resize(static_cast<std::size_t>(n_known));  // without guesses that this step had no row for
    if (!ended_) use_forced(ids);
    engine::Advance next{.n_valid = std::min(n_valid, n_known), .outputs_from = 0, .n_guesses = 0, .done = ended_};
    if (request_.n_logprobs > 0) {
      next.outputs_from = n_known - 1;
      next.n_guesses = static_cast<std::int64_t>(ids.size()) - n_known;
    } else {
      next.outputs_from = static_cast<std::int64_t>(ids.size()) - 1;
    }
    if (next.n_guesses != 0) guesser_ = nullptr;  // what the next step checks is forced, not guessed
    if (!ended_ && !guessers_.empty() && next.n_guesses == 0) add_guesses(outputs.n_rows - 1, n_right, ids, next);
    return next;
  } catch (...) {
    fail(std::current_exception());
    ids.resize(static_cast<std::size_t>(outputs.position + 1));
    return {.n_valid = outputs.position + 1, .outputs_from = outputs.position, .n_guesses = 0, .done = true};
  }
}

void GenerateJob::add_guesses(std::int64_t n_guessed, std::int64_t n_right, std::vector<TokenId>& ids,
                              engine::Advance& next) {
  if (guesser_ != nullptr) {
    n_right = std::min(n_right, n_guessed);
    guesser_->learn(n_guessed, n_right);
    result_.timings.n_guessed += n_guessed;
    result_.timings.n_guessed_right += n_right;
  }
  guesses_.clear();
  std::int64_t most = n_context_ - static_cast<std::int64_t>(ids.size()) - 1;
  if (request_.max_tokens >= 0) {
    most = std::min(most, request_.max_tokens - static_cast<std::int64_t>(result_.ids.size()) - 1);
  }
  guesser_ = nullptr;
  for (const std::unique_ptr<Guesser>& guesser : guessers_) {
    guesser->guess(ids, most, guesses_);
    if (guesses_.empty()) continue;
    guesser_ = guesser.get();
    break;
  }
  ids.insert(ids.end(), guesses_.begin(), guesses_.end());
  next.n_guesses = static_cast<std::int64_t>(guesses_.size());
}

void GenerateJob::fail(const std::exception_ptr& error) {
  const Error found = error_of(error);
  result_.error = found.message();
  result_.error_code = found.code();
  end(FinishReason::error);
}

void GenerateJob::cancel() {
  end(FinishReason::cancelled);
}

void GenerateJob::deliver() {
  if (done_) done_(std::move(result_));
}

}  // namespace llm::api
