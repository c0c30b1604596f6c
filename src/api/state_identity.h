#ifndef API_STATE_IDENTITY_H
#define API_STATE_IDENTITY_H

#include <string>

#include "api/model_impl.h"
#include "api/run_options.h"

namespace llm::api {

// What the numbers of a sequence's state depend on besides its ids: weights and adapters, types, instruction set.
// Tensors are sampled: a few kilobytes of each, so that gigabytes need not be read. Metadata of the vocabulary does not
// count.
std::string state_identity(const Model::Impl& model, const RunOptions& run);

}  // namespace llm::api

#endif
