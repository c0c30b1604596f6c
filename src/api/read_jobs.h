#ifndef API_READ_JOBS_H
#define API_READ_JOBS_H

#include <functional>
#include <string>
#include <vector>

#include "api/job.h"
#include "api/model_impl.h"

namespace llm::api {

// Log-likelihood of given tokens.
class ScoreJob : public SequenceJob {
 public:
  // Throws Error(usage | context).
  ScoreJob(const Model::Impl& model, std::vector<TokenId> prompt, std::vector<TokenId> completion,
           std::int64_t n_context, std::function<void(ScoreResult)> done);

  engine::SequenceOptions sequence() override;
  void cancel() override;
  void deliver() override;
  std::int64_t n_parts(const engine::StepOutputs& outputs) override;
  void prepare(const engine::StepOutputs& outputs, const std::vector<TokenId>& ids, std::int64_t part) override;
  engine::Advance advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) override;
  void fail(const std::exception_ptr& error) override;
  void began(std::int64_t) override {}
  bool is_empty() const { return ids_.size() <= first_; }
  void end_empty() { ended_ = true; }

 private:
  std::vector<TokenId> ids_;     // prompt and completion; of an encoder-decoder: start token and completion
  std::vector<TokenId> source_;  // the prompt of an encoder-decoder
  std::size_t first_ = 0;        // the first id that is scored
  std::function<void(ScoreResult)> done_;
  ScoreResult result_;
  struct Score {
    float logprob;
    bool greedy;
  };
  std::vector<Score> scores_;  // of one step's rows
};

// Hidden states pooled to a vector.
class EmbedJob : public SequenceJob {
 public:
  // Throws Error(usage | context).
  EmbedJob(const Model::Impl& model, std::vector<TokenId> ids, const EmbedOptions& options, std::int64_t n_context,
           std::function<void(EmbedResult)> done);

  engine::SequenceOptions sequence() override;
  void cancel() override;
  void deliver() override;
  engine::Advance advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) override;
  void fail(const std::exception_ptr& error) override;
  void began(std::int64_t) override {}

 private:
  void finish();

  enum class Pooling : std::uint8_t { mean, cls, last, none };
  std::vector<TokenId> ids_;
  Pooling pooling_ = Pooling::mean;
  bool normalize_, whole_;
  const EmbeddingHead& head_;
  std::function<void(EmbedResult)> done_;
  std::vector<double> sum_;  // [n_embd]
  EmbedResult result_;
};

}  // namespace llm::api

#endif
