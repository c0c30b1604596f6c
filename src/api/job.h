#ifndef API_JOB_H
#define API_JOB_H

#include <exception>
#include <llm/engine.hpp>

#include "engine/engine_core.h"

namespace llm::api {

// A queued piece of work: the client of one sequence, and what is told to the caller when it ends.
class Job : public engine::SequenceClient {
 public:
  // What to run. Called once, before anything else.
  virtual engine::SequenceOptions sequence() = 0;
  // The caller asked to stop.
  virtual void cancel() = 0;
  // Calls the caller back. Called once, outside of the engine.
  virtual void deliver() = 0;

  bool ended() const { return ended_; }

  Engine::Ticket ticket = 0;
  engine::EngineCore::Id sequence_id = 0;

 protected:
  bool ended_ = false;
};

// One line for a result, and its kind.
inline Error error_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return e;
  } catch (const std::exception& e) {
    return {ErrorCode::internal, e.what()};
  } catch (...) {
    return {ErrorCode::internal, "an unknown exception"};
  }
}

}  // namespace llm::api

#endif
