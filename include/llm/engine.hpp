#ifndef LLM_ENGINE_HPP
#define LLM_ENGINE_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <llm/constraint.hpp>
#include <llm/model.hpp>
#include <llm/sampling.hpp>

namespace llm {
inline namespace v1 {

struct EngineOptions {
  int n_threads = 0;           ///< 0: min(affinity, container quota, physical cores)
  std::int64_t n_context = 0;  ///< longest sequence; 0: as the model was trained, if that fits
  KvType kv_type = KvType::f16;
  bool exact = false;           ///< activations stay in float32
  int max_sequences = 1;        ///< sequences in one step
  int chunk = 0;                ///< prompt tokens of one step; 0: chosen
  std::uint64_t kv_memory = 0;  ///< bytes for keys, values and recurrent state; 0: what the options above need
  bool share_prefixes = true;
  std::optional<Model> draft = {};  ///< a smaller model with the same vocabulary that guesses (Request::draft)
  bool profile = false;             ///< keep account of where the time of steps goes
};

/// One kind of operation in one part of the forward pass, in all steps so far. `part`: "inputs", "mixer",
/// "cross-attention", "feed-forward" or "output"; `operation`: "product" (matrix products), "attention", "norm" ...
struct ProfileEntry {
  std::string_view part, operation;
  double seconds = 0;  ///< of the first thread, its waits for the others included
  std::int64_t n_calls = 0;
  std::uint64_t weight_bytes = 0;  ///< that products read
};
struct StepProfile {
  std::vector<ProfileEntry> entries = {};  ///< those that took time, the longest first
  double step_seconds = 0;                 ///< of all steps
  std::int64_t n_steps = 0;
};

enum class FinishReason : std::uint8_t { stop, length, context, cancelled, error };
/// "stop", "length", "context", "cancelled" or "error".
LLM_API std::string_view to_string(FinishReason reason);

struct TokenLogprob {
  TokenId id = 0;
  float logprob = 0;  ///< natural logarithm, of the raw distribution before any sampler
};

/// One token of an answer.
struct GeneratedToken {
  TokenId id = 0;
  std::string_view text = {};          ///< whole UTF-8 that became certain with it; may be empty
  std::optional<float> logprob = {};   ///< if Request::n_logprobs > 0
  std::vector<TokenLogprob> top = {};  ///< likeliest first
};

/// A piece of work: a prompt and what to do after it.
struct Request {
  std::vector<TokenId> prompt = {};          ///< encoder-decoder models: the source
  std::vector<TokenId> decoder_prompt = {};  ///< encoder-decoder models; empty: the model's start token
  int max_tokens = 512;                      ///< -1: until the context is full
  SamplingOptions sampling = {};
  std::uint64_t sequence_key = 0;      ///< with the seed and the position, all that random draws depend on
  std::vector<std::string> stop = {};  ///< the answer ends before the first of these; they are never given out
  bool ignore_eos = false;
  bool special = false;  ///< show control tokens in the text
  int n_logprobs = 0;
  int lookup = 0;  ///< n-gram speculation: guess up to so many tokens; never changes the text
  int draft = 0;   ///< guess up to so many tokens with EngineOptions::draft; never changes the text
  std::optional<Constraint> constraint = {};
  BeamOptions beams = {};
  std::optional<TokenRules> rules = {};  ///< absent: those of the model, if it is an encoder-decoder
  /// Called on the thread that drives the engine; false ends the request with `cancelled`.
  std::function<bool(const GeneratedToken&)> on_token = {};
};

struct Timings {
  double prompt_seconds = 0, generate_seconds = 0;
  std::int64_t n_prompt = 0, n_cached = 0, n_generated = 0;
  std::int64_t n_guessed = 0, n_guessed_right = 0;  ///< tokens of lookup and draft
};

/// A complete answer of a beam search.
struct BeamAnswer {
  std::vector<TokenId> ids = {};
  std::string text = {};
  double score = 0;
  FinishReason reason = FinishReason::stop;
};

struct Result {
  std::vector<TokenId> ids = {};
  std::string text = {};
  FinishReason reason = FinishReason::stop;
  std::string stop_text = {};  ///< the stop string or end token that ended it
  std::string error = {};      ///< if reason is error, and what kind:
  ErrorCode error_code = ErrorCode::internal;
  std::vector<GeneratedToken> tokens = {};  ///< with log-probabilities, if asked for; text is empty in them
  std::vector<BeamAnswer> beams = {};       ///< of a beam search, the best first: it is the answer
  Timings timings = {};
};

/// Log-likelihood of given tokens.
struct ScoreResult {
  std::vector<float> logprobs = {};  ///< one per scored token
  std::vector<bool> greedy = {};     ///< whether that token was the likeliest
  double sum = 0;
  std::string error = {};  ///< not empty: what went wrong, and what kind:
  ErrorCode error_code = ErrorCode::internal;
};

struct EmbedOptions {
  std::string pooling = {};  ///< "mean", "cls", "last" or "none" (every position); empty: as the model says
  bool normalize = true;     ///< scale each vector to length 1
};

struct EmbedResult {
  std::vector<float> values = {};  ///< [n_embedding], or [n_tokens, n_embd] without pooling
  std::string error = {};          ///< not empty: what went wrong, and what kind:
  ErrorCode error_code = ErrorCode::internal;
};

/// What an engine has done so far.
struct EngineCounters {
  std::uint64_t n_steps = 0;
  std::uint64_t n_rows = 0;       ///< tokens evaluated
  std::uint64_t n_preempted = 0;  ///< times that a sequence gave its state up because memory was short
};

/// What Engine::load_state found.
struct StateFile {
  std::vector<TokenId> ids = {};  ///< tokens whose state was taken over; requests that begin with them start there
  std::string problem = {};       ///< why nothing was; empty too if there is no such file
  bool may_replace = true;        ///< false: the file is something else than a saved state
};

/// Many sequences over one model: every step runs prompt chunks and single tokens of all of them in one forward pass.
/// submit() and cancel() may be called from any thread; step() by one thread at a time.
class LLM_API Engine {
 public:
  /// Throws Error(memory) if the model, the state and the activations do not fit.
  explicit Engine(const Model& model, const EngineOptions& options = {});
  Engine(Engine&&) noexcept;
  ~Engine();

  using Ticket = std::uint64_t;
  /// Queues a request; `done` is called by step(). Throws Error(usage | context).
  Ticket submit(Request request, std::function<void(Result)> done);
  /// The same for the log-likelihood of `completion` after `prompt`, and for embeddings.
  Ticket submit_score(std::vector<TokenId> prompt, std::vector<TokenId> completion,
                      std::function<void(ScoreResult)> done);
  Ticket submit_embed(std::vector<TokenId> ids, const EmbedOptions& options, std::function<void(EmbedResult)> done);
  void cancel(Ticket ticket);
  /// Runs one step. False: nothing to do.
  bool step();
  /// Requests waiting or running. Whoever submits keeps it small: the queue has no limit of its own.
  std::size_t n_pending() const;

  /// Runs one request to its end.
  Result generate(Request request);
  /// Log-likelihood of `completion` after `prompt`.
  ScoreResult score(const std::vector<TokenId>& prompt, const std::vector<TokenId>& completion);
  /// Embedding of ids; Error(usage) for a pooling that the model does not allow.
  EmbedResult embed(const std::vector<TokenId>& ids, const EmbedOptions& options = {});

  /// Writes the state after a prompt that was run before, and gives how many of its tokens it covers (0: nothing was
  /// written). The file holds keys and values for this model, KV type, instruction set and version. Throws Error(io).
  std::int64_t save_state(const std::string& path, const std::vector<TokenId>& prompt);
  /// Takes a saved state over; call it before any request, also if there is no file yet: from then on recurrent models
  /// keep the state at the end of prompts for save_state. Whatever is wrong with the file ends in `problem`. Results
  /// are the same bits with and without.
  StateFile load_state(const std::string& path);

  const EngineOptions& options() const;  ///< with every 0 replaced by what was chosen
  MemoryPlan memory() const;
  /// Empty unless EngineOptions::profile.
  StepProfile profile() const;
  /// By the thread that calls step().
  EngineCounters counters() const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace v1
}  // namespace llm

#endif
