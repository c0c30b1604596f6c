#include "api/request_checks.h"

#include <fmt/format.h>

#include <algorithm>

namespace llm::api {
namespace {

bool has_source(const Model::Impl& model) {
  return model.model->spec().kind == model::ModelKind::encoder_decoder;
}

void complete_decoder_prompt(const Model::Impl& model, Request& request) {
  if (has_source(model) && request.decoder_prompt.empty()) {
    const TokenId start = model.generation.decoder_start.value_or(model.model->spec().decoder_start_token);
    if (start < 0) {
      throw Error(ErrorCode::usage, "decoder prompt: the model names no start token, expected one in the request");
    }
    request.decoder_prompt = {start};
  }
  if (!has_source(model) && !request.decoder_prompt.empty()) {
    throw Error(ErrorCode::usage, "decoder prompt: found one, expected none (the model has no encoder)");
  }
  check_ids(request.decoder_prompt, model.model->spec().n_vocab, "decoder prompt");
}

void check_beams(const Request& request) {
  request.beams.validate();
  if (request.beams.n == 1) return;
  const auto refuse = [](const char* what) {
    throw Error(ErrorCode::usage, fmt::format("beams: found {} too, expected a search without it", what));
  };
  if (!request.stop.empty()) refuse("stop strings");
  if (!request.sampling.logit_bias.empty()) refuse("a logit bias");
}

}  // namespace

void check_ids(std::span<const TokenId> ids, std::int64_t n_vocab, const char* name) {
  for (const TokenId id : ids) {
    if (id >= 0 && id < n_vocab) continue;
    throw Error(ErrorCode::usage, fmt::format("{}: token id {}, expected 0 to {}", name, id, n_vocab - 1));
  }
}

Request checked(const Model::Impl& model, Request request, std::int64_t n_context) {
  const model::ModelSpec& spec = model.model->spec();
  if (!spec.head.exists || spec.kind == model::ModelKind::encoder) {
    throw Error(ErrorCode::usage, "this model gives embeddings, expected one that generates text");
  }
  check_ids(request.prompt, has_source(model) ? spec.n_vocab_source : spec.n_vocab, "prompt");
  if (!request.stop.empty() && !model.tokenizer) {
    throw Error(ErrorCode::usage, "stop strings: this model has no vocabulary, expected one with text");
  }
  if (request.max_tokens < -1) {
    throw Error(ErrorCode::usage, fmt::format("max tokens: found {}, expected -1 or more", request.max_tokens));
  }
  if (request.n_logprobs < 0 || request.lookup < 0 || request.draft < 0) {
    throw Error(ErrorCode::usage, fmt::format("log-probabilities {}, lookup {}, draft {}: expected 0 or more",
                                              request.n_logprobs, request.lookup, request.draft));
  }
  check_beams(request);
  complete_decoder_prompt(model, request);
  if (!request.rules) request.rules = has_source(model) ? model.generation.rules : TokenRules();
  const auto n_prompt = static_cast<std::int64_t>(request.prompt.size());
  const auto n_ids =
      static_cast<std::int64_t>(has_source(model) ? request.decoder_prompt.size() : request.prompt.size());
  if (n_prompt > n_context || (n_ids >= n_context && request.max_tokens != 0)) {
    throw Error(ErrorCode::context,
                fmt::format("prompt: {} tokens, expected {} {} (the context)", std::max(n_prompt, n_ids),
                            has_source(model) ? "at most" : "fewer than", n_context));
  }
  return request;
}

std::int64_t answer_limit(const Model::Impl& model, const Request& request, std::int64_t n_context) {
  const std::size_t n_ids = has_source(model) ? request.decoder_prompt.size() : request.prompt.size();
  const std::int64_t room = n_context - static_cast<std::int64_t>(n_ids);
  return request.max_tokens < 0 ? room : std::min<std::int64_t>(request.max_tokens, room);
}

engine::SequenceOptions sequence_of(const Model::Impl& model, const Request& request, std::int64_t n_context) {
  engine::SequenceOptions options;
  options.ids = has_source(model) ? request.decoder_prompt : request.prompt;
  if (has_source(model)) options.source = request.prompt;
  const auto n_ids = static_cast<std::int64_t>(options.ids.size());
  options.max_ids = request.max_tokens < 0 ? n_context : std::min(n_context, n_ids + request.max_tokens);
  options.outputs_from = n_ids - 1;
  return options;
}

}  // namespace llm::api
