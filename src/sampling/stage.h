#ifndef SAMPLING_STAGE_H
#define SAMPLING_STAGE_H

#include <memory>
#include <span>
#include <string_view>

#include <llm/sampling.hpp>

#include "base/random.h"
#include "sampling/candidates.h"
#include "sampling/token_table.h"

namespace llm::sampling {

// What samplers with a memory remember between the tokens of one sequence. Copying it is a checkpoint.
struct SamplerState {
  double mirostat_mu = 0;                              // bits
  double adaptive_sum = 0, adaptive_total_weight = 0;  // decayed sum of chosen probabilities, and of ones
};

// One token's choice in the making.
struct Choice {
  Candidates& candidates;
  std::span<const TokenId> history;  // prompt and output so far
  RandomKey random;                  // draw 0 is the final draw; a stage that needs its own takes another number
  SamplerState& state;
};

// A step of the chain.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual void apply(Choice& choice) = 0;
};

// Final stage: chooses the token.
class Picker {
 public:
  virtual ~Picker() = default;
  virtual TokenId pick(Choice& choice) = 0;
};

// Makers give null if the options switch the stage off.
using MakeStage = std::unique_ptr<Stage> (*)(const SamplingOptions&, const TokenTable&);
std::unique_ptr<Stage> make_penalties(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_dry(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_top_n_sigma(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_top_k(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_typical_p(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_top_p(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_min_p(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_xtc(const SamplingOptions& options, const TokenTable& tokens);
std::unique_ptr<Stage> make_temperature(const SamplingOptions& options, const TokenTable& tokens);

std::unique_ptr<Picker> make_mirostat(const SamplingOptions& options);
std::unique_ptr<Picker> make_mirostat_2(const SamplingOptions& options);
std::unique_ptr<Picker> make_adaptive(const SamplingOptions& options);

// Every stage that SamplingOptions::samplers may name. A new sampler is a file in chain/ and a line here.
struct StageKind {
  std::string_view name;
  MakeStage make;
  bool truncates;  // takes tokens away: left out at temperature 0 and under mirostat
};
std::span<const StageKind> stage_kinds();
const StageKind* find_stage_kind(std::string_view name);

}  // namespace llm::sampling

#endif
