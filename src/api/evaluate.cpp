#include <fmt/format.h>

#include <algorithm>
#include <llm/evaluate.hpp>

#include "api/available_memory.h"
#include "api/engine_impl.h"

namespace llm {
inline namespace v1 {

namespace {

// Collects results of all positions.
class AllRows : public engine::SequenceClient {
 public:
  engine::Advance advance(const engine::StepOutputs& outputs, std::vector<TokenId>& ids) override {
    rows.insert(rows.end(), outputs.data, outputs.data + outputs.n_rows * outputs.width);
    const std::int64_t n_done = outputs.position + outputs.n_rows;
    ended = n_done == static_cast<std::int64_t>(ids.size());
    return {.n_valid = n_done, .outputs_from = n_done, .n_guesses = 0, .done = ended};
  }
  void fail(const std::exception_ptr& e) override {
    error = e;
    ended = true;
  }
  void began(std::int64_t) override {}

  std::vector<float> rows;
  bool ended = false;
  std::exception_ptr error;
};

void check_ids(const std::vector<TokenId>& ids, int n_vocab, const char* name) {
  if (ids.empty()) throw Error(ErrorCode::usage, fmt::format("{}: found no token, expected at least one", name));
  for (const TokenId id : ids) {
    if (id >= 0 && id < n_vocab) continue;
    throw Error(ErrorCode::usage, fmt::format("{}: token id {}, expected 0 to {}", name, id, n_vocab - 1));
  }
}

}  // namespace

namespace {

EngineOptions for_one_text(EngineOptions options, std::int64_t n_context) {
  options.max_sequences = 1;
  options.share_prefixes = false;
  options.n_context = n_context;
  return options;
}

}  // namespace

Evaluation evaluate(const Model& model, const std::vector<TokenId>& ids, const EvaluateOptions& options) {
  const Model::Impl& impl = *model.impl();
  const model::ModelSpec& spec = impl.model->spec();
  const bool has_source = spec.kind == model::ModelKind::encoder_decoder;
  check_ids(ids, has_source && spec.n_vocab_source > 0 ? spec.n_vocab_source : spec.n_vocab, "ids");
  std::vector<TokenId> decoder_ids = options.decoder_ids;
  if (has_source) {
    if (decoder_ids.empty() && spec.decoder_start_token >= 0) decoder_ids = {spec.decoder_start_token};
    check_ids(decoder_ids, spec.n_vocab, "decoder ids");
  } else if (!decoder_ids.empty()) {
    throw Error(ErrorCode::usage, "decoder ids: found some, expected none (the model has no encoder)");
  }

  const std::vector<TokenId>& main = has_source ? decoder_ids : ids;
  const auto n_main = static_cast<std::int64_t>(main.size());
  const auto n_longest = static_cast<std::int64_t>(std::max(ids.size(), decoder_ids.size()));
  const std::int64_t n_context = options.engine.n_context;
  if (n_context > 0 && n_longest > n_context) {
    throw Error(ErrorCode::context, fmt::format("{} tokens, expected at most {} (the context)", n_longest, n_context));
  }
  if (spec.n_position_max > 0 && n_longest > spec.n_position_max) {
    throw Error(ErrorCode::context, fmt::format("{} tokens, expected at most {} (the model has no more positions)",
                                                n_longest, spec.n_position_max));
  }
  api::RunOptions run =
      api::resolve(*impl.model, for_one_text(options.engine, n_longest), api::available_memory() + impl.held_bytes);
  api::require_memory(run.memory, impl.info.name);
  const bool wants_logits = spec.head.exists;
  if (wants_logits) {
    run.core.limits.max_outputs = spec.needs_whole_sequence() ? n_longest : run.core.limits.chunk;
  }

  Evaluation result;
  result.ids = ids;
  result.decoder_ids = decoder_ids;
  result.n_vocab = spec.n_vocab;
  result.n_embd = spec.n_embd;
  api::ModelRunner runner(*impl.model, run.executor);
  engine::EngineCore core(runner, run.core);
  bool encoding = false;
  if (options.hidden) {
    core.on_hidden = [&](int index, const float* data, std::int64_t n_rows, std::int64_t n_embd) {
      auto& layers = encoding ? result.enc_hidden : result.hidden;
      if (layers.size() <= static_cast<std::size_t>(index)) layers.resize(static_cast<std::size_t>(index) + 1);
      std::vector<float>& layer = layers[static_cast<std::size_t>(index)];
      layer.insert(layer.end(), data, data + n_rows * n_embd);
    };
  }
  const auto pass = [&](engine::OutputKind kind) {
    AllRows client;
    core.add({.ids = main,
              .source = has_source ? ids : std::vector<TokenId>(),
              .max_ids = n_main,
              .outputs_from = 0,
              .kind = kind,
              .whole = spec.needs_whole_sequence()},
             client);
    encoding = has_source;  // its step comes first
    while (!client.ended) {
      core.step();
      encoding = false;
    }
    if (client.error) std::rethrow_exception(client.error);
    return std::move(client.rows);
  };
  if (wants_logits) result.logits = pass(engine::OutputKind::logits);
  if (!wants_logits || spec.kind == model::ModelKind::encoder) {
    if (wants_logits) core.on_hidden = nullptr;  // shown in the first pass
    result.last_hidden = pass(engine::OutputKind::hidden);
  }
  return result;
}

}  // namespace v1
}  // namespace llm
