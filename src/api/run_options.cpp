#include "api/run_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cpu.h"
#include "engine/sequence_state.h"

namespace llm::api {
namespace {

constexpr int block_tokens = 64;
constexpr std::int64_t default_chunk = 256;            // rows: activations of that many stay in the caches
constexpr std::int64_t default_context = 4096;         // of models that do not say it
constexpr std::uint64_t logits_bytes = 16 << 20;       // room for rows of logits besides one a sequence
constexpr std::uint64_t sampler_bytes_per_token = 12;  // of the vocabulary, and sequence: candidates and scratch

void check(const char* name, std::int64_t found, std::int64_t low, std::int64_t high) {
  if (found >= low && found <= high) return;
  throw Error(ErrorCode::usage, fmt::format("{}: found {}, expected {} to {}", name, found, low, high));
}

// A copy of one sequence's records of recurrent layers, with the block of keys that is being filled there; nothing for
// models without such layers.
std::uint64_t checkpoint_bytes(const RunOptions& run) {
  std::uint64_t bytes = 0;
  bool recurrent = false;
  for (const model::StateGroup& group : run.core.groups) {
    recurrent = recurrent || group.kind == model::StateKind::per_sequence;
    if (group.kind != model::StateKind::per_source) {
      bytes += engine::StatePool::block_bytes(group, run.core.block_tokens);
    }
  }
  return recurrent ? bytes : 0;
}

std::uint64_t sequence_bytes(const RunOptions& run, std::int64_t n_context) {
  const bool has_source = run.core.n_source > 0;
  return engine::state_bytes(run.core.groups, run.core.block_tokens, 0, n_context, has_source ? n_context : 0,
                             run.core.limits.chunk);
}

// Everything that follows from a context length.
void size_for(RunOptions& run, const model::Model& model, std::int64_t n_context) {
  const model::ModelSpec& spec = model.spec();
  run.engine.n_context = n_context;
  const bool whole = spec.kind != model::ModelKind::decoder;
  const std::int64_t max_sequences = run.engine.max_sequences;
  engine::StepLimits& limits = run.core.limits;
  limits.chunk = run.engine.chunk;
  limits.max_sequences = max_sequences;
  limits.max_rows = limits.chunk + max_sequences;
  if (whole) limits.max_rows = std::max(limits.max_rows, n_context);
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(std::max(spec.n_vocab, 1)) * sizeof(float);
  limits.max_outputs = std::max<std::int64_t>(
      {1, max_sequences,
       std::clamp<std::int64_t>(static_cast<std::int64_t>(logits_bytes / row_bytes), 8, limits.chunk)});
  if (!spec.head.exists) limits.max_outputs = 0;
  run.core.n_context = n_context;
  run.core.n_source = spec.kind == model::ModelKind::encoder_decoder ? n_context : 0;
  run.executor.max_rows = static_cast<int>(limits.max_rows);
  run.executor.max_context = n_context;
  const std::uint64_t n_outputs = static_cast<std::uint64_t>(limits.max_outputs);
  run.memory.activations =
      model::Executor::arena_bytes(model, run.executor) + n_outputs * row_bytes +
      static_cast<std::uint64_t>(limits.max_rows) * static_cast<std::uint64_t>(spec.n_embd) * sizeof(float) +
      static_cast<std::uint64_t>(max_sequences) * static_cast<std::uint64_t>(spec.n_vocab) * sampler_bytes_per_token;
}

}  // namespace

TensorType tensor_type(KvType type) {
  switch (type) {
    case KvType::f32:
      return TensorType::F32;
    case KvType::f16:
      return TensorType::F16;
    case KvType::bf16:
      return TensorType::BF16;
    case KvType::q8_0:
      return TensorType::Q8_0;
    case KvType::q4_0:
      return TensorType::Q4_0;
  }
  throw Error(ErrorCode::usage, fmt::format("KV type: found {}, expected 0 to 4", static_cast<int>(type)));
}

RunOptions resolve(const model::Model& model, EngineOptions options, std::uint64_t available) {
  const model::ModelSpec& spec = model.spec();
  check("threads", options.n_threads, 0, 1024);
  check("context", options.n_context, 0, std::int64_t{1} << 30);
  check("sequences", options.max_sequences, 1, 4096);
  check("chunk", options.chunk, 0, 1 << 20);
  RunOptions run;
  run.engine = options;
  if (run.engine.n_threads == 0) run.engine.n_threads = default_thread_count();
  if (spec.n_position_max > 0 && options.n_context > spec.n_position_max) {
    throw Error(ErrorCode::usage,
                fmt::format("context: found {}, expected at most {} (the model has no more positions)",
                            options.n_context, spec.n_position_max));
  }
  std::int64_t n_context = options.n_context;
  if (n_context == 0) n_context = spec.n_context_train > 0 ? spec.n_context_train : default_context;
  if (spec.n_position_max > 0) n_context = std::min(n_context, spec.n_position_max);
  if (run.engine.chunk == 0) {
    run.engine.chunk = static_cast<int>(std::min(default_chunk, n_context * run.engine.max_sequences));
  }

  run.executor.n_threads = run.engine.n_threads;
  run.executor.max_sequences = run.engine.max_sequences;
  run.executor.exact = run.engine.exact;
  run.executor.profile = run.engine.profile;
  run.executor.kv_type = tensor_type(run.engine.kv_type);
  run.executor.block_tokens = block_tokens;
  run.core.block_tokens = block_tokens;
  run.core.groups = model.state_groups(run.executor.kv_type);
  run.core.n_vocab = spec.n_vocab;
  run.core.n_embd = spec.n_embd;
  run.core.share_prefixes = run.engine.share_prefixes;
  run.core.fixed_rope_length = spec.rope_by_length;

  run.memory.available = available;
  run.memory.weights = model.file().file_bytes() + model.converted_bytes();
  const auto fits = [&](std::int64_t n) {
    size_for(run, model, n);
    return run.memory.weights + run.memory.activations + sequence_bytes(run, n) <= available;
  };
  // Without a wish the context shrinks until one sequence fits.
  while (!fits(n_context) && options.n_context == 0 && n_context > 2 * block_tokens) n_context /= 2;

  const std::uint64_t one = sequence_bytes(run, n_context);
  if (options.kv_memory > 0) {
    run.memory.state = options.kv_memory;
  } else {
    // More than one sequence share what is there: most of them never get as long as the context. Records of recurrent
    // layers can only be gone back to where a copy stands: where others branch off, at the end of a prompt, of an
    // answer.
    const std::uint64_t taken = run.memory.weights + run.memory.activations;
    const std::uint64_t left = available - std::min(available, taken);
    const auto n = static_cast<std::uint64_t>(run.engine.max_sequences);
    const std::uint64_t copies = run.engine.share_prefixes ? (n + 2) * checkpoint_bytes(run) : 0;
    const std::uint64_t all = one * n + copies;
    run.memory.state = std::max(one, std::min(all, left / 4 * 3));
  }
  run.engine.kv_memory = run.memory.state;
  run.core.state_bytes = run.memory.state;
  run.memory.total = run.memory.weights + run.memory.state + run.memory.activations;
  return run;
}

void require_memory(const MemoryPlan& plan, const std::string& name) {
  if (plan.total <= plan.available) return;
  const auto mega = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  throw Error(
      ErrorCode::memory,
      fmt::format("{}: takes {:.0f} MB (weights {:.0f}, sequence state {:.0f}, activations {:.0f}), expected at "
                  "most {:.0f} MB, which is what is available",
                  name, mega(plan.total), mega(plan.weights), mega(plan.state), mega(plan.activations),
                  mega(plan.available)));
}

}  // namespace llm::api
