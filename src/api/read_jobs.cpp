#include "api/read_jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "api/request_checks.h"
#include "sampling/logprobs.h"

namespace llm::api {
namespace {

void check_length(std::size_t n, std::int64_t n_context) {
  if (static_cast<std::int64_t>(n) <= n_context) return;
  throw Error(ErrorCode::context, fmt::format("text: {} tokens, expected at most {} (the context)", n, n_context));
}

void normalize(std::span<float> values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * static_cast<double>(v);
  if (sum <= 0) return;
  const double scale = 1 / std::sqrt(sum);
  for (float& v : values) v = static_cast<float>(static_cast<double>(v) * scale);
}

}  // namespace

ScoreJob::ScoreJob(const Model::Impl& model, std::vector<TokenId> prompt, std::vector<TokenId> completion,
                   std::int64_t n_context, std::function<void(ScoreResult)> done)
    : ids_(std::move(prompt)), done_(std::move(done)) {
  const model::ModelSpec& spec = model.model->spec();
  if (!spec.head.exists || spec.kind == model::ModelKind::encoder) {
    throw Error(ErrorCode::usage, "scoring: expected a model that continues a text");
  }
  if (spec.kind == model::ModelKind::encoder_decoder) {
    const TokenId start = model.generation.decoder_start.value_or(spec.decoder_start_token);
    if (ids_.empty() || start < 0) {
      throw Error(ErrorCode::usage, "scoring: expected a source text, and a model that names its decoder's start");
    }
    check_ids(ids_, spec.n_vocab_source, "prompt");
    check_length(ids_.size(), n_context);
    source_ = std::exchange(ids_, {start});
  }
  first_ = std::max<std::size_t>(ids_.size(), 1);
  ids_.insert(ids_.end(), completion.begin(), completion.end());
  check_ids(ids_, spec.n_vocab, "text");
  check_length(ids_.size(), n_context);
}

engine::SequenceOptions ScoreJob::sequence() {
  // The last token is only compared with.
  return {.ids = std::vector<TokenId>(ids_.begin(), ids_.end() - 1),
          .source = source_,
          .max_ids = static_cast<std::int64_t>(ids_.size()),
          .outputs_from = static_cast<std::int64_t>(first_) - 1};
}

std::int64_t ScoreJob::n_parts(const engine::StepOutputs& outputs) {
  scores_.resize(static_cast<std::size_t>(outputs.n_rows));
  return outputs.n_rows;
}

void ScoreJob::prepare(const engine::StepOutputs& outputs, const std::vector<TokenId>&, std::int64_t part) {
  const TokenId id = ids_[static_cast<std::size_t>(outputs.position + part + 1)];
  const sampling::LogProbs logprobs(outputs.row(part));
  scores_[static_cast<std::size_t>(part)] = {.logprob = logprobs.of(id), .greedy = logprobs.best() == id};
}

engine::Advance ScoreJob::advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) {
  for (const Score& score : scores_) {
    result_.logprobs.push_back(score.logprob);
    result_.greedy.push_back(score.greedy);
    result_.sum += static_cast<double>(score.logprob);
  }
  const std::int64_t n_done = outputs.position + outputs.n_rows;
  ended_ = n_done == static_cast<std::int64_t>(ids.size());
  return {.n_valid = n_done, .outputs_from = n_done, .n_guesses = 0, .done = ended_};
}

void ScoreJob::fail(const std::exception_ptr& error) {
  const Error found = error_of(error);
  result_.error = found.message();
  result_.error_code = found.code();
  ended_ = true;
}

void ScoreJob::cancel() {
  result_.error = "cancelled";
  result_.error_code = ErrorCode::cancelled;
  ended_ = true;
}

void ScoreJob::deliver() {
  if (done_) done_(std::move(result_));
}

EmbedJob::EmbedJob(const Model::Impl& model, std::vector<TokenId> ids, const EmbedOptions& options,
                   std::int64_t n_context, std::function<void(EmbedResult)> done)
    : ids_(std::move(ids)),
      normalize_(options.normalize),
      whole_(model.model->spec().needs_whole_sequence()),
      head_(model.embedding_head),
      done_(std::move(done)),
      sum_(static_cast<std::size_t>(model.model->spec().n_embd)) {
  const std::string pooling = options.pooling.empty() ? model.info.pooling : options.pooling;
  if (model.info.is_encoder_decoder) {
    throw Error(ErrorCode::usage, "embedding: found an encoder-decoder, expected an encoder or a decoder");
  }
  if (pooling != "none" && !head_.refused.empty()) throw Error(ErrorCode::model, head_.refused);
  if (pooling == "mean") {
    pooling_ = Pooling::mean;
  } else if (pooling == "cls") {
    pooling_ = Pooling::cls;
  } else if (pooling == "last") {
    pooling_ = Pooling::last;
  } else if (pooling == "none") {
    pooling_ = Pooling::none;
  } else {
    throw Error(ErrorCode::usage, fmt::format("pooling: found '{}', expected mean, cls, last or none", pooling));
  }
  if (pooling_ == Pooling::cls && !whole_) {
    throw Error(ErrorCode::usage,
                "pooling: found 'cls', expected mean, last or none (the first token of this model sees "
                "nothing of the text)");
  }
  if (ids_.empty()) throw Error(ErrorCode::usage, "embedding: found an empty text, expected at least one token");
  check_ids(ids_, model.model->spec().n_vocab, "text");
  check_length(ids_.size(), n_context);
}

engine::SequenceOptions EmbedJob::sequence() {
  const auto n = static_cast<std::int64_t>(ids_.size());
  return {.ids = ids_,
          .max_ids = n,
          .outputs_from = pooling_ == Pooling::last ? n - 1 : 0,
          .kind = engine::OutputKind::hidden,
          .whole = whole_};
}

engine::Advance EmbedJob::advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) {
  const std::int64_t n_done = outputs.position + outputs.n_rows;
  const auto n = static_cast<std::int64_t>(ids.size());
  for (std::int64_t i = 0; i < outputs.n_rows; ++i) {
    const std::span<const float> row = outputs.row(i);
    const bool is_chosen = (pooling_ == Pooling::cls && outputs.position + i == 0) ||
                           (pooling_ == Pooling::last && outputs.position + i == n - 1);
    if (pooling_ == Pooling::none || is_chosen) {
      result_.values.insert(result_.values.end(), row.begin(), row.end());
    } else if (pooling_ == Pooling::mean) {
      for (std::size_t j = 0; j < row.size(); ++j) sum_[j] += static_cast<double>(row[j]);
    }
  }
  ended_ = n_done == n;
  if (ended_) finish();
  return {.n_valid = n_done, .outputs_from = n_done, .n_guesses = 0, .done = ended_};
}

void EmbedJob::finish() {
  if (pooling_ == Pooling::mean) {
    const auto n = static_cast<double>(ids_.size());
    for (const double sum : sum_) result_.values.push_back(static_cast<float>(sum / n));
  }
  if (pooling_ != Pooling::none) head_.project(result_.values);
  if (!normalize_) return;
  const std::size_t width = pooling_ == Pooling::none ? sum_.size() : result_.values.size();
  for (std::size_t at = 0; at < result_.values.size(); at += width) {
    normalize(std::span(result_.values).subspan(at, width));
  }
}

void EmbedJob::fail(const std::exception_ptr& error) {
  const Error found = error_of(error);
  result_.error = found.message();
  result_.error_code = found.code();
  ended_ = true;
}

void EmbedJob::cancel() {
  result_.error = "cancelled";
  result_.error_code = ErrorCode::cancelled;
  ended_ = true;
}

void EmbedJob::deliver() {
  if (done_) done_(std::move(result_));
}

}  // namespace llm::api
