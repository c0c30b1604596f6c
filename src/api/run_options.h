#ifndef API_RUN_OPTIONS_H
#define API_RUN_OPTIONS_H

#include <cstdint>
#include <llm/engine.hpp>
#include <llm/model.hpp>

#include "engine/engine_core.h"
#include "model/model.h"

namespace llm::api {

// Options with every 0 replaced, and what follows from them for the executor and the engine.
struct RunOptions {
  EngineOptions engine;
  model::ExecutorOptions executor;
  engine::CoreOptions core;
  MemoryPlan memory;
};

TensorType tensor_type(KvType type);

// Chooses what the caller left open and adds up the memory. `available`: what may be taken, weights included.
// Throws Error(usage) for values out of range.
RunOptions resolve(const model::Model& model, EngineOptions options, std::uint64_t available);

// Throws Error(memory) that says what is missing.
void require_memory(const MemoryPlan& plan, const std::string& name);

}  // namespace llm::api

#endif
