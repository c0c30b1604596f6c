#ifndef LLM_SAMPLING_HPP
#define LLM_SAMPLING_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <llm/tokenizer.hpp>

namespace llm {
inline namespace v1 {

/// How a token is chosen from the logits. Values out of range are refused by validate().
struct SamplingOptions {
  std::uint64_t seed = 0;
  float temperature = 0.8f;  ///< 0: always the likeliest token (lowest id on ties)
  int top_k = 40;            ///< 0: off
  float top_p = 0.95f;       ///< 1: off
  float min_p = 0.05f;       ///< 0: off
  float typical_p = 1.0f;    ///< 1: off
  float top_n_sigma = 0.0f;  ///< 0: off
  float repeat_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  int repeat_last_n = 64;  ///< tokens (prompt included) that the penalties see; 0: none, -1: all
  std::vector<std::pair<TokenId, float>> logit_bias;

  float xtc_probability = 0.0f, xtc_threshold = 0.1f;
  float dry_multiplier = 0.0f, dry_base = 1.75f;
  int dry_allowed_length = 2, dry_last_n = -1;
  std::vector<std::string> dry_breakers = {"\n", ":", "\"", "*"};
  float dynatemp_range = 0.0f, dynatemp_exponent = 1.0f;
  int mirostat = 0;  ///< 0: off, 1 or 2; replaces every other truncation
  float mirostat_tau = 5.0f, mirostat_eta = 0.1f;
  float adaptive_target = -1.0f, adaptive_decay = 0.9f;  ///< target < 0: off; replaces the final draw

  /// Order of the chain; see docs/sampling.md for the names.
  std::vector<std::string> samplers = {"penalties", "dry",   "top_n_sigma", "top_k",      "typical_p",
                                       "top_p",     "min_p", "xtc",         "temperature"};

  /// Sets the number of this name, e.g. "top_k"; false if no number is called so.
  LLM_API bool set(std::string_view name, double value);
  /// Throws Error(usage) that names the option, its value and the range.
  LLM_API void validate() const;
};

/// What an answer must begin and end with, and what it may not contain. Publishers of translation models rely on such
/// rules; ids outside the vocabulary are refused.
struct TokenRules {
  std::optional<TokenId> first = {};              ///< the first token of the answer, e.g. its language
  std::optional<TokenId> last = {};               ///< the last one of an answer that gets as long as max_tokens allows
  std::vector<std::vector<TokenId>> banned = {};  ///< runs of tokens that may not appear
  std::vector<TokenId> banned_first = {};         ///< tokens that the answer may not begin with
  int min_tokens = 0;                             ///< no end before so many tokens
  int no_repeat_ngram = 0;                        ///< no run of so many tokens appears twice; 0: off
};

/// When a beam search ends: `open` when no answer under way can beat those that are complete, judged as long as it is;
/// `full` as soon as there are as many complete answers as beams; `never` as `open`, judged as long as it may get.
enum class BeamStop : std::uint8_t { open, full, never };

/// Search for the likeliest answer instead of drawing its tokens one by one: the best n beginnings are followed at
/// once. A complete answer counts (sum of its tokens' log-probabilities) / (number of tokens, the end
/// included)^length_penalty. Samplers have no part in it.
struct BeamOptions {
  int n = 1;  ///< 1: no search
  float length_penalty = 1.0f;
  BeamStop stop = BeamStop::open;

  /// Throws Error(usage) that names the option, its value and the range.
  LLM_API void validate() const;
};

}  // namespace v1
}  // namespace llm

#endif
