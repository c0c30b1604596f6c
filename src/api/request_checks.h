#ifndef API_REQUEST_CHECKS_H
#define API_REQUEST_CHECKS_H

#include <cstdint>
#include <llm/engine.hpp>

#include "api/model_impl.h"
#include "engine/engine_core.h"

namespace llm::api {

// The request with what it leaves to the model filled in: start of the decoder, token rules. Throws
// Error(usage | context) for what cannot be run.
Request checked(const Model::Impl& model, Request request, std::int64_t n_context);

// Tokens that the answer may have: as asked for, and as the context has room for.
std::int64_t answer_limit(const Model::Impl& model, const Request& request, std::int64_t n_context);

// What the engine runs for a checked request: prompt or source and start of the decoder, results of the last id.
engine::SequenceOptions sequence_of(const Model::Impl& model, const Request& request, std::int64_t n_context);

// Error(usage) for an id outside of [0, n_vocab).
void check_ids(std::span<const TokenId> ids, std::int64_t n_vocab, const char* name);

}  // namespace llm::api

#endif
